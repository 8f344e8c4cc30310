"""Payment providers behind `payments.port`; the room is empty until the payments issue."""
