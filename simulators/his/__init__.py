"""A hospital information system on loopback: see README.md here."""
