"""Identifiers: sortable by time of making, unguessable, safe in URLs."""

from __future__ import annotations

import os
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]
_PAIRING = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # read aloud and typed on a ladder: no 0/O, 1/I


def new_id() -> str:
    """26 characters: 48 bits of milliseconds, 80 random bits (the ULID layout). Order is a convenience only."""
    value = (int(time.time() * 1000) & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def new_token() -> str:
    """A bearer token of 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def new_pairing_code() -> str:
    """Eight characters in two groups, such as ``ABCD-2345`` (39 bits; short-lived and attempt-limited)."""
    chars = "".join(secrets.choice(_PAIRING) for _ in range(8))
    return f"{chars[:4]}-{chars[4:]}"
