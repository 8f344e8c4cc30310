"""A scanner on a pty or a TCP port, driven over a loopback HTTP control port."""
