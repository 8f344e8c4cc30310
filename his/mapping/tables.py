"""The house's own code lists; a mapping's table for an enum takes the place of the one here.

Sources: GB/T 2261.1 (sex), WS/T 364 CV02.01.101 (identity documents), HL7 tables 0078 and 0001, FHIR R4 value sets, and
the words Chinese HISes print. What stands in no table is UNKNOWN, a result flag UNDETERMINED: never a guess.
"""

from __future__ import annotations

from enum import StrEnum

from his.port import AbnormalFlag, CardStatus, DayPart, IdType, ReportKind, Sex

HOUSE: dict[type[StrEnum], dict[str, StrEnum]] = {
    Sex: {
        "1": Sex.MALE, "男": Sex.MALE, "男性": Sex.MALE, "M": Sex.MALE, "male": Sex.MALE,
        "2": Sex.FEMALE, "女": Sex.FEMALE, "女性": Sex.FEMALE, "F": Sex.FEMALE, "female": Sex.FEMALE,
    },
    IdType: {
        "01": IdType.ID_CARD, "02": IdType.HOUSEHOLD, "03": IdType.PASSPORT, "04": IdType.OFFICER,
        "05": IdType.DRIVING, "06": IdType.HK_MACAO, "07": IdType.TAIWAN,
        "居民身份证": IdType.ID_CARD, "身份证": IdType.ID_CARD, "居民户口簿": IdType.HOUSEHOLD, "护照": IdType.PASSPORT,
        "军官证": IdType.OFFICER, "驾驶证": IdType.DRIVING, "港澳居民来往内地通行证": IdType.HK_MACAO,
        "台湾居民来往内地通行证": IdType.TAIWAN, "出生医学证明": IdType.BIRTH_CERTIFICATE,
        "外国人永久居留证": IdType.FOREIGN_RESIDENT, "99": IdType.UNKNOWN,
    },
    CardStatus: {
        "正常": CardStatus.ACTIVE, "active": CardStatus.ACTIVE, "挂失": CardStatus.LOST, "注销": CardStatus.CLOSED,
    },
    AbnormalFlag: {
        **dict.fromkeys(("N", "正常"), AbnormalFlag.NORMAL),
        **dict.fromkeys(("H", "↑", "偏高", "高"), AbnormalFlag.HIGH),
        **dict.fromkeys(("L", "↓", "偏低", "低"), AbnormalFlag.LOW),
        **dict.fromkeys(("HH", "↑↑", "危急高"), AbnormalFlag.CRITICAL_HIGH),
        **dict.fromkeys(("LL", "↓↓", "危急低"), AbnormalFlag.CRITICAL_LOW),
        **dict.fromkeys(("A", "AA", "异常"), AbnormalFlag.ABNORMAL),
        **dict.fromkeys(("阳性", "+", "(+)", "POS"), AbnormalFlag.POSITIVE),
        **dict.fromkeys(("阴性", "NEG"), AbnormalFlag.NEGATIVE),
    },
    DayPart: {
        "上午": DayPart.MORNING, "AM": DayPart.MORNING, "am": DayPart.MORNING,
        "下午": DayPart.AFTERNOON, "PM": DayPart.AFTERNOON, "pm": DayPart.AFTERNOON,
        "晚上": DayPart.EVENING, "夜间": DayPart.EVENING, "晚": DayPart.EVENING,
    },
    ReportKind: {"检验": ReportKind.LAB, "检查": ReportKind.IMAGING},
}  # fmt: skip
TRUE = frozenset({"1", "true", "True", "TRUE", "Y", "y", "yes", "是", "T"})
FALSE = frozenset({"0", "false", "False", "FALSE", "N", "n", "no", "否", "F"})


def unknown(kind: type[StrEnum]) -> StrEnum:
    """What an enum says when it cannot tell."""
    return kind("undetermined") if kind is AbnormalFlag else kind("unknown")


def house(kind: type[StrEnum]) -> dict[str, StrEnum]:
    """The house's codes of an enum: its table above and its own words."""
    return {**{member.value: member for member in kind}, **HOUSE.get(kind, {})}
