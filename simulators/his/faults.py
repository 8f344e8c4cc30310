"""How the simulated HIS misbehaves on demand; the modes are those real ones were seen in."""

from dataclasses import dataclass
from typing import Any

MODES = ("none", "slow", "hang", "drip", "reset", "html500", "garbage", "truncated", "down")
"""none; slow: right answer after `ms`; hang: never answers; drip: right answer, one byte each `ms`; reset: RST;
html500: an error page; garbage: 200 with bytes that are no JSON; truncated: half the promised body, then the end;
down: the port refuses connections until another mode is set (over the admin port)."""

ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>500 - 内部服务器错误</title></head>"
    "<body><h2>服务器错误</h2><p>未将对象引用设置到对象的实例。</p></body></html>"
).encode()
GARBAGE = b"\xff\xfe\x00ORA-03113: end-of-file on communication channel\r\n{"


@dataclass(frozen=True, slots=True)
class Fault:
    """One mode, its pace in ms, and the operations it strikes (none named: all)."""

    mode: str = "none"
    ms: int = 1000
    ops: frozenset[str] = frozenset()

    def strikes(self, op: str) -> bool:
        """Whether a call of `op` goes wrong."""
        return self.mode != "none" and (not self.ops or op in self.ops)


def read(body: Any) -> Fault:
    """The fault a switch message asks for; ValueError when it makes no sense."""
    if not isinstance(body, dict) or body.get("mode") not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}")
    ms, ops = body.get("ms", 1000), body.get("ops", [])
    if type(ms) is not int or ms < 0 or not isinstance(ops, list):
        raise ValueError("ms is a count of milliseconds, ops a list of operations")
    return Fault(body["mode"], ms, frozenset(map(str, ops)))
