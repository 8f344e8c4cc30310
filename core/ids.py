"""Identifiers: sortable by time of making, unguessable, safe in URLs."""

from __future__ import annotations

import os
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_RANDOM = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
"""Makes a letter of any byte, all letters alike often."""
_PAIRING = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # read aloud and typed on a ladder: no 0/O, 1/I


def new_id() -> str:
    """26 characters: 48 bits of milliseconds, 80 random bits (the ULID layout). Order is a convenience only."""
    made = int(time.time() * 1000)
    stamp = "".join([_ALPHABET[made >> shift & 31] for shift in range(45, -1, -5)])
    return stamp + os.urandom(16).translate(_RANDOM).decode("ascii")


def new_token() -> str:
    """A bearer token of 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def new_pairing_code() -> str:
    """Eight characters in two groups, such as ``ABCD-2345`` (39 bits; short-lived and attempt-limited)."""
    chars = "".join(secrets.choice(_PAIRING) for _ in range(8))
    return f"{chars[:4]}-{chars[4:]}"
