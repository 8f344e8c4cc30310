"""E-card and e-wristband: the page, its refill of codes, and the tick when it has been scanned."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from core.clock import SHANGHAI
from his.port import Admission, AdmissionStatus
from portal.door import blueprint, follower_id, services, signed_in
from services.phone_codes import Shown
from store.port import Binding, BindingKind
from web.i18n import language, spoken

POLL_MS = 1500
"""How often a page in view asks whether its code was scanned."""


@blueprint.get("/cards/<binding_id>/ecard")
@signed_in
def ecard(binding_id: str) -> ResponseReturnValue:
    """The e-card."""
    binding = services().cards.get(follower_id(), BindingKind.CARD, binding_id)
    return _page(binding, None)


@blueprint.get("/admissions/<binding_id>/wristband")
@signed_in
def wristband(binding_id: str) -> ResponseReturnValue:
    """The e-wristband, with ward and bed when the HIS can say; void after discharge."""
    binding = services().cards.get(follower_id(), BindingKind.ADMISSION, binding_id)
    stay = services().cards.stay(binding)
    if stay is not None and stay.status is not AdmissionStatus.ADMITTED:
        return render_template("portal/discharged.html", binding=binding, stay=stay)
    return _page(binding, stay)


@blueprint.get("/cards/<binding_id>/ecard/codes", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/wristband/codes", defaults={"kind": "admission"})
@signed_in
def codes(kind: str, binding_id: str) -> ResponseReturnValue:
    """``{epoch, step_s, codes: [[step, text, qr, bar], …]}``: now and ten minutes ahead."""
    binding = services().cards.get(follower_id(), BindingKind(kind), binding_id)
    return jsonify(_held(services().codes.show(binding)))


@blueprint.get("/cards/<binding_id>/ecard/status", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/wristband/status", defaults={"kind": "admission"})
@signed_in
def status(kind: str, binding_id: str) -> ResponseReturnValue:
    """``{epoch, scan}``: the latest scan after ``?since=`` (epoch milliseconds of the server), or null."""
    binding = services().cards.get(follower_id(), BindingKind(kind), binding_id)
    since = request.args.get("since", "0")
    after = int(since) if since.isdigit() and len(since) < 16 else 0
    scan = services().codes.last_scan(binding)
    body: dict[str, Any] = {"epoch": services().clock.epoch(), "scan": None}
    if scan is not None and round(scan.at.timestamp() * 1000) > after:
        body["scan"] = {
            "at": round(scan.at.timestamp() * 1000), "time": f"{scan.at:%H:%M}", "place": scan.place,
            "outcome": scan.outcome.value, "accepted": scan.accepted, "say": spoken(scan.say),
        }  # fmt: skip
    return jsonify(body)


def _held(shown: Shown) -> dict[str, Any]:
    return {"epoch": shown.epoch, "step_s": shown.step_s, "codes": [code.packed() for code in shown.codes]}


def _page(binding: Binding, stay: Admission | None) -> str:
    shown = services().codes.show(binding)
    card = binding.kind is BindingKind.CARD
    here = "portal.ecard" if card else "portal.wristband"
    values: dict[str, Any] = {"binding_id": binding.id, "kind": binding.kind.value}
    setup = {
        **_held(shown),
        "poll_ms": POLL_MS,
        "urls": {"codes": url_for("portal.codes", **values), "status": url_for("portal.status", **values)},
        "words": _words(card=card),
    }
    until = datetime.fromtimestamp(shown.valid_until(), SHANGHAI) if shown.mode == "rotating" else None
    return render_template(
        "portal/code.html", shown=shown, code=shown.codes[0], stay=stay, setup=setup, until=until, is_card=card,
        self_url=url_for(here, binding_id=binding.id), lang=language(),
    )  # fmt: skip


def _words(*, card: bool) -> dict[str, str]:
    """What the script says, in the page's language; ``{n}``, ``{place}`` and ``{time}`` are filled in there."""
    return {
        "ready": _("请调亮屏幕,对准扫码器"),
        "scanned": _("已扫:{place} {time}"),
        "offline": _("手机没有信号,没关系:这个码在 {n} 分钟内仍可使用"),
        "refreshed": _("已刷新"),
        "gone": _("这张卡已解绑,请重新绑定") if card else _("这次住院已解绑,请重新绑定"),
        "signed_out": _("登录已过期,请重新登录"),
    }
