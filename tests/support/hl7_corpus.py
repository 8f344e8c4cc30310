"""HL7 v2 messages as hospitals send them, written by hand rules and seeded chance: 2.3 to 2.5.1, ADT, SIU, ORU, DFT.

Nothing here uses `his.hl7v2`; texts, patients and numbers are invented. Every message is (name, bytes, facts), facts being
what a reader must find in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import product

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
ADT = ("A01", "A02", "A03", "A04", "A08", "A11", "A12", "A13", "A28", "A31", "A40")
SIU = ("S12", "S13", "S14", "S15", "S17", "S26")
NAMES = ("王^小明", "李^秀英", "欧阳^娜娜", "𠮷田^䶮", "SMITH^John^Q", "O'BRIEN^Ann-Marie", "Müller^Jörg")
CHARSETS = (
    ("UNICODE UTF-8", "utf-8"),
    ("GB 18030-2000", "gb18030"),
    ("", "utf-8"),
    ("", "gb18030"),
    ("ASCII", "utf-8"),
)
FLAGS = (
    ("H", "high"), ("L", "low"), ("HH", "critical_high"), ("LL", "critical_low"), ("N", "normal"), ("A", "abnormal"),
    ("A^A^HL70078", "abnormal"), ("H^High^HL70078", "high"), ("", "undetermined"), ("QQ", "undetermined"),
    ("N~H", "high"), ("↑", "high"), ("偏高", "high"), ("阳性", "positive"),
)  # fmt: skip
ENDS = ("\r", "\r\n", "\n")


@dataclass(frozen=True)
class Sample:
    """One message and what it says, by path."""

    name: str
    raw: bytes
    charset: str
    facts: dict[str, str] = field(default_factory=dict)


def corpus() -> list[Sample]:
    """The same 114 messages every time."""
    rng = random.Random(20261124)
    samples = []
    for number, (event, version) in enumerate(product(ADT, VERSIONS)):
        samples.append(_adt(rng, number, event, version))
    for number, (event, version) in enumerate(product(SIU, VERSIONS)):
        samples.append(_siu(rng, 100 + number, event, version))
    for number, (flag, meaning) in enumerate(FLAGS):
        samples.append(_oru(rng, 200 + number, flag, meaning))
    samples.extend(_dft(rng, 300 + number) for number in range(8))
    return samples + _odd()


def _pick(number: int) -> tuple[str, str, str]:
    declared, codec = CHARSETS[number % len(CHARSETS)]
    return declared, codec, ENDS[number % len(ENDS)]


def _name(rng: random.Random, codec: str) -> str:
    return rng.choice(NAMES[:6] if codec == "gb18030" else NAMES)


def _msh(kind: str, event: str, control_id: str, version: str, declared: str, extra: str = "") -> str:
    structure = f"^{kind}_{event}" if version != "2.3" else ""
    return f"MSH|^~\\&|LIS|仁和^2.16.840^ISO|PALM|HOSP|20261124093000+0800||{kind}^{event}{structure}|{control_id}|P|{version}|||||CHN|{declared}{extra}"


def _pid(rng: random.Random, name: str) -> tuple[str, str]:
    patient = f"P{rng.randrange(10**7):07d}"
    numbers = rng.choice(
        (
            f"{patient}^^^HIS^PI~600000000017^^^HIS^HC",
            f"600000000017^^^HIS^HC~{patient}^^^HIS&2.16.840&ISO^PI^^20200101",
            f"{patient}",
        )
    )
    return (
        f"PID|1||{numbers}||{name}||19850312|M|||上海市\\T\\浦东\\F\\1号^^上海||^PRN^CP^^86^^19900000001|||||||||||||||||N",
        patient,
    )


def _sample(name: str, lines: list[str], codec: str, end: str, facts: dict[str, str]) -> Sample:
    return Sample(name, (end.join(lines) + end).encode(codec), codec, facts)


def _adt(rng: random.Random, number: int, event: str, version: str) -> Sample:
    declared, codec, end = _pick(number)
    name = _name(rng, codec)
    pid, patient = _pid(rng, name)
    lines = [
        _msh("ADT", event, f"ADT{number:05d}", version, declared),
        f"EVN|{event}|20261124093000",
        pid,
        f"PV1|1|{'O' if event == 'A04' else 'I'}|W01^3^{number % 40:02d}^HOSP||||0210^石^子诺|||CARD|||||||||{'V' if event == 'A04' else 'Z'}{number:06d}|||||||||||||||||||||||||20261124092900",
    ]
    if event == "A40":
        lines.insert(3, "MRG|P0000099^^^HIS^PI")
    if number % 3 == 0:
        lines.append("ZPI|1|本地\\S\\字段|a\\E\\b|\\H\\粗\\N\\|\\.br\\第二行|\\X0D\\|")
    if number % 4 == 0:
        lines.insert(2, "")  # an empty line, as some engines leave behind
    facts = {"MSH-10": f"ADT{number:05d}", "PID-5.1": name.split("^", maxsplit=1)[0], "patient": patient}
    if number % 3 == 0:
        facts |= {"ZPI-2": "本地^字段", "ZPI-3": "a\\b", "ZPI-4": "粗", "ZPI-5": "\n第二行"}
    return _sample(f"ADT-{event}-{version}", lines, codec, end, facts)


def _siu(rng: random.Random, number: int, event: str, version: str) -> Sample:
    declared, codec, end = _pick(number)
    pid, patient = _pid(rng, _name(rng, codec))
    lines = [
        _msh("SIU", event, f"SIU{number:05d}", version, declared),
        f"SCH|PL{number}|AP{number}|||SCHED1|REASON^复诊|NORMAL||15|min|^^15^20261201090000^20261201091500",
        pid, "PV1|1|O", "RGS|1|A", "AIS|1|A|EXAM^检查|20261201090000", "AIP|1|A|0210^石^子诺", "AIL|1|A|门诊楼^302",
    ]  # fmt: skip
    return _sample(
        f"SIU-{event}-{version}",
        lines,
        codec,
        end,
        {"MSH-10": f"SIU{number:05d}", "SCH-2": f"AP{number}", "patient": patient},
    )


def _oru(rng: random.Random, number: int, flag: str, meaning: str) -> Sample:
    declared, codec, end = _pick(number)
    pid, patient = _pid(rng, _name(rng, codec))
    status = "C" if number % 5 == 0 else "F"
    lines = [
        _msh("ORU", "R01", f"ORU{number:05d}", VERSIONS[number % 5], declared),
        pid,
        f"OBR|1|ORD{number}|REP{number}|CBC^血常规^L|||20261124080000||||||||||||||202611240930{number % 60:02d}||LAB|{status}",
        f"OBX|1|NM|WBC^白细胞^L||12.3|10\\S\\9/L|3.5-9.5|{flag}|||{status}|||20261124093000",
        "NTE|1||第一段\\.br\\第二段 a\\R\\b",
    ]
    return _sample(
        f"ORU-{meaning}-{number}",
        lines,
        codec,
        end,
        {"MSH-10": f"ORU{number:05d}", "OBR-3": f"REP{number}", "OBX-6": "10^9/L", "patient": patient, "flag": meaning},
    )


def _dft(rng: random.Random, number: int) -> Sample:
    declared, codec, end = _pick(number)
    pid, patient = _pid(rng, _name(rng, codec))
    lines = [
        _msh("DFT", "P03", f"DFT{number:05d}", VERSIONS[number % 5], declared),
        "EVN|P03|20261124093000",
        pid,
        f"PV1|1|O|||||||||||||||||V{number:06d}",
        f"FT1|1|F{number}||20261124||CG|XR^胸片^L|||2|100.50&CNY|50.25&CNY",
        f"FT1|2|G{number}||20261124||CG|CT^平扫^L|||1||80",
        f"FT1|3|H{number}||20261124||PY|PAY|||1|180.50",
    ]
    return _sample(
        f"DFT-{number}", lines, codec, end, {"MSH-10": f"DFT{number:05d}", "FT1-2": f"F{number}", "patient": patient}
    )


def _odd() -> list[Sample]:
    """What is rare and allowed."""
    own = r"MSH#*~\%#LIS#HOSP#PALM#HOSP#20261124093000##ADT*A08#ODD1#P#2.5" + "\rPID#1##P1***HIS*PI##王*小明\r"
    truncation = "MSH|^~\\&#|LIS|HOSP|PALM|HOSP|20261124||ADT^A08|ODD2|P|2.5\rPID|1||P1^^^HIS^PI||李^雷\r"
    null = 'MSH|^~\\&|LIS|HOSP|PALM|HOSP|20261124||ADT^A08|ODD3|P|2.5\rPID|1||P1^^^HIS^PI||王^小明|""|""\r'
    newline = (
        "MSH|^~\\&|LIS|HOSP|PALM|HOSP|20261124||ADT^A08|ODD4|P|2.5\rPID|1||P1^^^HIS^PI||王^小明\rNTE|1||one\ntwo\r"
    )
    trailing = "MSH|^~\\&|LIS|HOSP|PALM|HOSP|20261124||ADT^A08|ODD5|P|2.5\rPID|1||P1^^^HIS^PI||王^小明|||||||\r\r\r"
    bare = "MSH|^~\\&|LIS|HOSP|PALM|HOSP|20261124||ADT^A08|ODD6|P|2.5\rPID|1||P1^^^HIS^PI||王^小明"
    return [
        Sample("own-separators", own.encode(), "utf-8", {"MSH-10": "ODD1", "PID-5.2": "小明", "PID-3.1": "P1"}),
        Sample("truncation-character", truncation.encode(), "utf-8", {"MSH-10": "ODD2", "PID-5.2": "雷"}),
        Sample("null", null.encode(), "utf-8", {"MSH-10": "ODD3", "PID-6": "", "PID-7": ""}),
        Sample("line-feed-in-text", newline.encode(), "utf-8", {"MSH-10": "ODD4", "NTE-3": "one\ntwo"}),
        Sample("trailing-empties", trailing.encode(), "utf-8", {"MSH-10": "ODD5", "PID-14": ""}),
        Sample("no-last-return", bare.encode("gb18030"), "gb18030", {"MSH-10": "ODD6", "PID-5.2": "小明"}),
        # in GB18030 瓅 and 億 end in the byte of |, 僞 in that of ^, 俓 in that of \, 亊 in that of ~
        Sample(
            "separators-inside-characters",
            "MSH|^~\\&|LIS|医瓅院|PALM|HOSP|20261124||ADT^A08|ODD7|P|2.5|||||CHN|GB 18030-2000\rPID|1||P1^^^HIS^PI||僞^俓億亊\r".encode(
                "gb18030"
            ),
            "gb18030",
            {"MSH-10": "ODD7", "PID-5.1": "僞", "PID-5.2": "俓億亊", "MSH-4": "医瓅院"},
        ),
    ]
