"""What the house is measured against: small programs of the same duty, each in its own process."""
