"""One suite for every HIS adapter: `subject.py` says how an adapter joins it."""
