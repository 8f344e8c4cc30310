"""Serial scanners: transports (tty, TCP, RFC 2217), framing without I/O, the driver."""
