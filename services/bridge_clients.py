"""Programs of the hospital that may call the bridge: their tokens, scopes, stations, addresses and pace."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from core.clock import Clock
from core.errors import Refusal
from core.ids import new_id, new_token
from store.port import Attempts, Limit, Stations
from store.port_bridge import BridgeClient, BridgeClients

WRONG_TOKENS, WRONG_WINDOW = 30, timedelta(minutes=10)
"""Wrong tokens one address may send before it is told to wait."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}")
_NOTE_S = 60
"""Seconds between two notes of a client's last call."""
_SHUT = 1024
"""Addresses remembered as having to wait; beyond it the database is asked about one again."""


class Scope(StrEnum):
    """What a token may do."""

    RESOLVE = "codes:resolve"
    SCANS_WRITE = "scans:write"
    SCANS_READ = "scans:read"
    EVENTS = "events:write"


@dataclass(slots=True)
class _Pace:
    """A bucket of calls that fills by the minute's share; ``noted`` is when the last call was written down."""

    left: float
    at: float
    noted: float = float("-inf")


class BridgeClientService:
    """Adds and ends clients, and admits their calls; thread-safe."""

    def __init__(
        self, clients: BridgeClients, stations: Stations, attempts: Attempts, clock: Clock, *, per_minute: int
    ) -> None:
        self._clients, self._stations, self._attempts, self._clock = clients, stations, attempts, clock
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._paces: dict[str, _Pace] = {}
        self._shut: dict[str, float] = {}
        """Addresses that sent too many wrong tokens, and until when (monotonic): the next ones cost no write."""

    def add(
        self, name: str, scopes: Sequence[str], *, stations: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> str:
        """A new client; its token, which is not kept and cannot be shown again. Raises Refusal or Taken."""
        if not _NAME.fullmatch(name):
            raise Refusal(
                "bridge.name", "名称只能用字母、数字、点、横线,最多 56 个",
                "a client's name is 1 to 56 letters, digits, dots, dashes or underscores",
            )  # fmt: skip
        known = [scope.value for scope in Scope]
        if not scopes or any(scope not in known for scope in scopes):
            raise Refusal("bridge.scope", "权限范围不对", f"a scope is one of {', '.join(known)}; give at least one")
        for code in stations:
            if self._stations.get(code) is None:
                raise Refusal(
                    "station.unknown", f"没有编号为 {code} 的屏位", f"there is no station {code}; see `hospital stations list`"
                )  # fmt: skip
        token = new_token()
        client = BridgeClient(
            new_id(), name, frozenset(scopes), tuple(stations), tuple(_networks(addresses)), self._clock.now()
        )
        self._clients.add(client, token)
        return token

    def all(self) -> Sequence[BridgeClient]:
        """All clients, ended ones too."""
        return self._clients.all()

    def revoke(self, name: str) -> None:
        """End a client; its next call is refused, in every process. Raises Refusal."""
        if not self._clients.revoke(name, self._clock.now()):
            raise Refusal(
                "bridge.unknown", f"没有名为 {name} 的有效客户端", f"no live client is called {name}; see `hospital bridge clients list`"
            )  # fmt: skip

    def admit(self, token: str, address: str, scope: Scope) -> BridgeClient:
        """The client of this token, if it may do this from there now. Raises Refusal.

        Asked of the database each time: a revoked token is dead at once. The look-up is by SHA-256 of 256 random bits,
        so its timing tells nothing of any token.
        """
        client = self._clients.by_token(token) if token else None
        if client is None or client.revoked_at is not None:
            if token:
                self._count_wrong(address)
            raise Refusal(
                "token.missing" if not token else "token.wrong",
                "缺少访问令牌" if not token else "访问令牌不对或已停用",
                "send the token as 'Authorization: Bearer <token>'"
                if not token
                else "this token is wrong or was revoked; ask IT for a new one (hospital bridge clients add)",
            )  # fmt: skip
        if client.addresses and not _within(address, client.addresses):
            raise Refusal(
                "token.address", "这个令牌不能从这个地址使用",
                "this token may not be used from this address; IT set which ones may",
            )  # fmt: skip
        self._keep_pace(client)
        if scope not in client.scopes:
            raise Refusal(
                "token.scope", f"这个令牌没有 {scope.value} 权限",
                f"this token lacks the scope {scope.value}; ask IT for one that has it",
            )  # fmt: skip
        return client

    def _count_wrong(self, address: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            until = self._shut.get(address, now)
        if until > now:
            raise _too_many(until - now)
        limit = Limit("bridge_address", address, WRONG_TOKENS, WRONG_WINDOW)
        counted = self._attempts.reserve((limit,), self._clock.now())
        if counted.allowed:
            return
        wait = counted.retry_after.total_seconds()
        with self._lock:
            if len(self._shut) >= _SHUT:
                self._shut.clear()
            self._shut[address] = now + wait
        raise _too_many(wait)

    def _keep_pace(self, client: BridgeClient) -> None:
        now, share = self._clock.monotonic(), self._per_minute / 60
        with self._lock:
            pace = self._paces.setdefault(client.id, _Pace(float(self._per_minute), now))
            pace.left = min(float(self._per_minute), pace.left + (now - pace.at) * share)
            pace.at = now
            short = 1 - pace.left
            if short <= 0:
                pace.left -= 1
            note = short <= 0 and now - pace.noted >= _NOTE_S
            if note:
                pace.noted = now
        if short > 0:
            raise Refusal(
                "rate.limited", "请求太频繁,请稍后再试",
                f"more than {self._per_minute} calls a minute; wait as long as Retry-After says",
                retry_after_s=max(1, -int(-short // share)),
            )  # fmt: skip
        if note:
            self._clients.used(client.id, self._clock.now())


def _too_many(wait_s: float) -> Refusal:
    return Refusal(
        "token.too_many", "错误的令牌太多,请稍后再试",
        "too many wrong tokens from this address; put the right one in place, then try again",
        retry_after_s=max(1, round(wait_s)),
    )  # fmt: skip


def _networks(addresses: Sequence[str]) -> list[str]:
    try:
        return [str(ipaddress.ip_network(text, strict=False)) for text in addresses]
    except ValueError as exc:
        raise Refusal(
            "bridge.address",
            "地址不对,应为 10.1.2.3 或 10.1.2.0/24",
            f"an address is like 10.1.2.3 or 10.1.2.0/24: {exc}",
        ) from exc


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return any(mapped in ipaddress.ip_network(network) for network in networks)
