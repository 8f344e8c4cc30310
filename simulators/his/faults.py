"""How the simulated HIS misbehaves on demand; the modes are those real ones were seen in. README.md has the table."""

from dataclasses import dataclass
from typing import Any

from simulators.his.answers import Data

UNBOOKED = ("hang", "reset", "html500", "down", "late")
"""The write does not happen now: `late` books it afterwards, the others never."""
ENTITIES = ("entity_bomb", "entity_bomb_inner", "external_entity", "external_entity_inner")
MODES = (
    "none", *UNBOOKED, "slow", "drip", "garbage", "truncated", "gbk", "commit_then_hang", "commit_then_reset",
    "duplicate", "wrong_sums", "wrong_record", *ENTITIES,
)  # fmt: skip

ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>500 - 内部服务器错误</title></head>"
    "<body><h2>服务器错误</h2><p>未将对象引用设置到对象的实例。</p></body></html>"
).encode()
GARBAGE = b"\xff\xfe\x00ORA-03113: end-of-file on communication channel\r\n{"
_TOTALS = ("total_fen", "amount_fen", "balance_fen")
_WHO = ("name", "sex", "birth_date", "id_no", "phone", "deceased", "cards")
_WHICH = ("wristband_no", "admission_no", "admission_seq")


@dataclass(slots=True)
class Fault:
    """One mode, its pace in ms, the operations it strikes (none named: all), and how many calls more (None: any)."""

    mode: str = "none"
    ms: int = 1000
    ops: frozenset[str] = frozenset()
    times: int | None = None

    def strikes(self, op: str) -> bool:
        """Whether a call of `op` goes wrong."""
        return self.times != 0 and (not self.ops or op in self.ops)


def read(body: Any, names: dict[str, str]) -> Fault:
    """The fault a switch message asks for, its operations by the wire's names; ValueError when it makes no sense."""
    if not isinstance(body, dict) or body.get("mode") not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}")
    ms, ops, times = body.get("ms", 1000), body.get("ops", []), body.get("times")
    if type(ms) is not int or ms < 0 or not isinstance(ops, list):
        raise ValueError("ms is a count of milliseconds, ops a list of operations")
    if times is not None and (type(times) is not int or times < 1):
        raise ValueError("times is a count of calls")
    return Fault(body["mode"], ms, frozenset(names.get(str(op), str(op)) for op in ops), times)


def wrong_sums(data: Any) -> Any:
    """The same answer with its total one fen off, else its amount or balance; in a list without one, each member's."""
    if not isinstance(data, dict):
        return data
    if (key := next((key for key in _TOTALS if isinstance(data.get(key), int)), None)) is not None:
        return {**data, key: data[key] + 1}
    return {
        key: [wrong_sums(one) for one in value] if isinstance(value, list) else value for key, value in data.items()
    }


def wrong_record(value: Any, other: Data, stay: Data) -> Any:
    """The same answer under another patient's numbers; a schedule or a day becomes another one."""
    if isinstance(value, list):
        return [wrong_record(one, other, stay) for one in value]
    if not isinstance(value, dict):
        return value
    wrong = {key: wrong_record(inner, other, stay) for key, inner in value.items()}
    if "patient_id" in value:
        wrong["patient_id"] = other["patient_id"]
        wrong |= {key: other[key] for key in _WHO if key in value and "cards" in value}
    wrong |= {key: stay[key] for key in _WHICH if key in value}
    if "schedule_id" in value:
        wrong["schedule_id"] = f"{value['schedule_id']}9"
    if ("items" in value and "day" in value) or "lines" in value:
        wrong["day"] = "2001-01-01"
    return wrong


def entities(fetch_url: str, read_url: str) -> tuple[str, str]:
    """DOCTYPEs that a careful reader refuses: one of ten to the ninth words, one that reads a file and a URL."""
    tens = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE bomb [<!ENTITY a0 "lol">{tens}<!ENTITY it "&a9;">]>'
    outside = f'<!DOCTYPE out [<!ENTITY f SYSTEM "{read_url}"><!ENTITY u SYSTEM "{fetch_url}"><!ENTITY it "&f;&u;">]>'
    return bomb, outside
