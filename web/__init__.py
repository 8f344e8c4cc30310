"""What all doors share of Flask: errors, sessions, CSRF and headers, Socket.IO rooms, shared look."""
