"""Privacy: masking for screens, encryption and blind indexes for the database, redaction for logs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import ConfigError, HospitalError

KEY_BYTES = 32


def mask_name(name: str) -> str:
    """王小明 → 王*明, 李雷 → 李*, 欧阳娜娜 → 欧**娜; Latin names keep the first letter of each word."""
    name = name.strip()
    if not name:
        return ""
    if name.isascii():
        return " ".join(word[0] + "*" * min(len(word) - 1, 4) for word in name.split())
    if len(name) == 1:
        return name
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" * (len(name) - 2) + name[-1]


def last4(number: str) -> str:
    """The last four characters, or as many stars when the number is too short to hide behind four."""
    return number[-4:] if len(number) > 6 else "*" * len(number)


def mask_number(number: str) -> str:
    """``600000000017`` → ``**** 0017``."""
    return f"**** {last4(number)}"


class Undecryptable(HospitalError):
    """A stored field does not open: wrong data key, or moved between rows, or damaged."""


class Vault:
    """Encrypts fields and makes blind indexes, all derived from the one data key of the deployment.

    AES-256-GCM with the place (``table:row:column``) as associated data, so that a value copied
    into another row does not open. Blind indexes are HMAC-SHA256, one key per purpose.
    """

    def __init__(self, data_key: bytes) -> None:
        if len(data_key) != KEY_BYTES:
            raise ConfigError(
                f"the data key has {len(data_key)} bytes, not {KEY_BYTES}: make one with `hospital init`",
                key="secrets.data_key",
            )
        self._aes = AESGCM(_derive(data_key, b"fields"))
        self._index = _derive(data_key, b"index")
        self.session_key = _derive(data_key, b"session")

    def seal(self, value: str | bytes, place: str) -> bytes:
        """Encrypt ``value`` for ``place``; 28 bytes longer than the value."""
        nonce = os.urandom(12)
        data = value.encode() if isinstance(value, str) else value
        return nonce + self._aes.encrypt(nonce, data, place.encode())

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Decrypt what `seal` made for the same place. Raises Undecryptable."""
        sealed = bytes(sealed)
        try:
            return self._aes.decrypt(sealed[:12], sealed[12:], place.encode())
        except InvalidTag as exc:
            raise Undecryptable(f"the field at {place.split(':', 1)[0]} does not open with this data key") from exc

    def open(self, sealed: bytes, place: str) -> str:
        """Like `open_bytes`, as text."""
        return self.open_bytes(sealed, place).decode()

    def index(self, purpose: str, value: str) -> str:
        """A blind index: equal values give equal indexes, and nothing else can be learned without the key."""
        digest = hmac.digest(self._index, f"{purpose}\0{value}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"palm-hospital/" + purpose).derive(key)


def decode_key(text: str) -> bytes:
    """A data key as written by `hospital init`: 32 bytes in URL-safe base64."""
    try:
        return base64.urlsafe_b64decode(text.strip().encode())
    except ValueError as exc:
        raise ConfigError("is not base64: make one with `hospital init`", key="secrets.data_key") from exc


def token_hash(token: str) -> str:
    """How a bearer token is kept: SHA-256; a random 256-bit token needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


# Long digit runs (ID numbers, cards, pay codes, phones, passes) and bearer-like words, wherever they stand.
_DIGITS = re.compile(r"(?<![0-9a-zA-Z])(\d{6,})(\d{3}[\dXx])(?![0-9a-zA-Z])")
_SECRET = re.compile(
    r"(?i)\b(token|secret|code|state|openid|access_token|key|password)([\"']?\s*[=:]\s*[\"']?)([^\s&\"',}]+)"
)


def redact(text: str) -> str:
    """``text`` without long numbers and without values of secret-like keys; for every log line."""
    return _DIGITS.sub(r"[number]", _SECRET.sub(r"\1\2[hidden]", text))
