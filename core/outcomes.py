"""The typed outcomes of a scan: code, sentence for people, next step. The same on phone, screen, agent and API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Every way a scan can end (DESIGN part 3); exactly one per scan."""

    IDENTIFIED = "identified"
    CHECKED_IN = "checked_in"
    ALREADY_DONE = "already_done"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    FORGED = "forged"
    UNKNOWN_CODE = "unknown_code"
    WRONG_KIND = "wrong_kind"
    WRONG_STATION = "wrong_station"
    WRONG_WARD = "wrong_ward"
    DISCHARGED = "discharged"
    NOT_BOUND = "not_bound"
    PAY_CODE = "pay_code"
    FOREIGN_CODE = "foreign_code"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    AMBIGUOUS = "ambiguous"
    HIS_UNAVAILABLE = "his_unavailable"
    HIS_UNKNOWN = "his_unknown"
    BUSY = "busy"


ACCEPTED = frozenset({Outcome.IDENTIFIED, Outcome.CHECKED_IN})
"""Outcomes that use up the shown code: the same code elsewhere is a replay."""

Say = dict[str, str]
"""A sentence by language: ``{"zh-CN": …, "en": …}``."""


def say(zh: str, en: str) -> Say:
    """One sentence in both languages."""
    return {"zh-CN": zh, "en": en}


@dataclass(frozen=True, slots=True)
class Words:
    """What is said and what to do next; ``next_code`` is the machine's word."""

    say: Say
    next_code: str
    next_label: Say

    def next(self) -> dict[str, Any]:
        """The ``next`` part of the scan outcome."""
        return {"code": self.next_code, "label": self.next_label}


_REFRESH = ("refresh", say("请患者刷新后再扫", "Ask the patient to refresh, then scan again"))
_E_CARD = ("show_e_card", say("请出示电子就诊卡", "Ask for the e-card"))
_PROCEED = ("proceed", say("请核对姓名后办理", "Check the name, then proceed"))
_DESK = ("manual_check", say("请人工核对身份", "Check the identity by hand"))
_RETRY = ("retry", say("请稍后再扫一次", "Scan again in a moment"))

WORDS: dict[Outcome, Words] = {
    Outcome.IDENTIFIED: Words(say("已识别患者", "Patient identified"), *_PROCEED),
    Outcome.CHECKED_IN: Words(say("签到成功,请在候诊区等候", "Checked in; please wait in the waiting area"), *_PROCEED),
    Outcome.ALREADY_DONE: Words(say("这个码刚才已在本窗口扫过", "This code was already scanned here"), *_PROCEED),
    Outcome.EXPIRED: Words(
        say(
            "这个码已过期,请刷新电子就诊卡再扫一次",
            "This code has expired; refresh the e-card and scan again",
        ),
        *_REFRESH,
    ),
    Outcome.REPLAYED: Words(
        say(
            "这个码已在别的窗口用过,请刷新后再扫",
            "This code was already used at another desk; refresh and scan again",
        ),
        *_REFRESH,
    ),
    Outcome.FORGED: Words(
        say(
            "没有通过校验:请患者打开自己的电子就诊卡再扫",
            "Not verified: ask the patient to open their own e-card",
        ),
        *_DESK,
    ),
    Outcome.UNKNOWN_CODE: Words(
        say("医院系统里没有这个号码", "The hospital system does not know this number"), *_E_CARD
    ),
    Outcome.WRONG_KIND: Words(say("这里不扫这种码", "This desk does not take this kind of code"), *_E_CARD),
    Outcome.WRONG_STATION: Words(
        say("这个号不在本窗口办理", "This is not handled at this desk"),
        "go_to_station",
        say("请到指定窗口", "Go to the desk named"),
    ),
    Outcome.WRONG_WARD: Words(say("不是本病区的患者,请停下核对", "Not a patient of this ward: stop and check"), *_DESK),
    Outcome.DISCHARGED: Words(say("患者已出院,腕带已失效", "The patient is discharged; the wristband is void"), *_DESK),
    Outcome.NOT_BOUND: Words(
        say("这张卡已解绑或停用,请重新绑定", "This card is unbound or out of use; bind it again"),
        "bind",
        say("请患者在手机上重新绑定", "Ask the patient to bind it again on the phone"),
    ),
    Outcome.PAY_CODE: Words(
        say("这是付款码,请收起,改为出示电子就诊卡", "This is a payment code: put it away and show the e-card"),
        *_E_CARD,
    ),
    Outcome.FOREIGN_CODE: Words(say("这不是本院的就诊码", "This is not a code of this hospital"), *_E_CARD),
    Outcome.TOO_EARLY: Words(
        say("还没有到时间", "It is too early"),
        "wait",
        say("请在签到时间内再来", "Come back within the check-in time"),
    ),
    Outcome.TOO_LATE: Words(say("已经过了时间", "It is too late"), *_DESK),
    Outcome.AMBIGUOUS: Words(say("对应多位患者,请人工核对", "More than one patient matches; check by hand"), *_DESK),
    Outcome.HIS_UNAVAILABLE: Words(
        say(
            "医院系统暂时没有回应,没有查到患者",
            "The hospital system does not answer; the patient was not looked up",
        ),
        *_RETRY,
    ),
    Outcome.HIS_UNKNOWN: Words(
        say(
            "医院系统没有给出明确结果,正在查清",
            "The hospital system gave no clear answer; it is being cleared up",
        ),
        "wait",
        say("请等候结果,不要重复办理", "Wait for the result; do not repeat it"),
    ),
    Outcome.BUSY: Words(say("扫得太快,上一位还在处理", "Too fast: the one before is still being handled"), *_RETRY),
}

CLOCK_WRONG = say(
    "手机时间不准:请打开自动时间,刷新后再扫",
    "The phone's clock is wrong: set it to automatic, refresh, scan again",
)
NOT_READ = say("没有认出这个码", "This code was not recognised")
WARD_ONLY = Words(
    say("这是就诊卡,床旁请扫腕带", "This is an outpatient card; at the bedside scan the wristband"),
    "show_wristband",
    say("请扫腕带或电子腕带", "Scan the wristband or e-wristband"),
)
CARD_ONLY = Words(
    say("这是住院腕带,这里请出示就诊卡", "This is a wristband; this desk takes the patient card"), *_E_CARD
)
DECEASED = Words(say("此卡已停用,请人工核对", "This card is out of use; check by hand"), *_DESK)
FOREIGN_SAY: dict[str, Say] = {
    "e_health_card": say(
        "这是电子健康卡,请改为出示电子就诊卡", "This is a national e-health card; show the e-card instead"
    ),
    "insurance_token": say(
        "这是医保电子凭证,请改为出示电子就诊卡", "This is an insurance e-voucher; show the e-card instead"
    ),
    "id_number": say("这是身份证号码,没有保存;请出示电子就诊卡", "This is an ID number, not kept; show the e-card"),
    "gs1_gsrn": say("这是其他机构的腕带", "This is a wristband of another institution"),
    "url": say("这是网址二维码,不是就诊码", "This is a web address, not a patient code"),
}
