"""Reports of a card or a stay: the list, one report, its images."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from core.clock import SHANGHAI
from core.errors import Refusal
from his.port import ABNORMAL, WIDTHS, AbnormalFlag, Report, ReportKind
from portal.door import blueprint, follower_id, services, signed_in
from services.reports import Images
from store.port import BindingKind
from web.errors import status_of

KEEP_S = 600
"""How long a phone may keep a picture it was given."""
SHOWN = 40
"""Images drawn on the page of one report; more are seen at the hospital."""


@blueprint.get("/cards/<binding_id>/reports", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/reports", defaults={"kind": "admission"})
@signed_in
def reports(kind: str, binding_id: str) -> ResponseReturnValue:
    """Released reports, newest first; what the HIS last said, marked so, while it is silent."""
    values: dict[str, Any] = {"kind": kind, "binding_id": binding_id}
    try:
        binding, fetched = services().reports.reports(follower_id(), BindingKind(kind), binding_id)
    except Refusal as refusal:
        return _unavailable(refusal, url_for("portal.reports", **values), url_for(f"portal.{kind}s"))
    return render_template(
        "portal/reports.html", kind=kind, binding=binding, reports=fetched.value, fetched=fetched,
        back_url=url_for(f"portal.{kind}s"), updated=_updated(fetched.fetched_at), kinds=ReportKind,
    )  # fmt: skip


@blueprint.get("/cards/<binding_id>/reports/<number>", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/reports/<number>", defaults={"kind": "admission"})
@signed_in
def report(kind: str, binding_id: str, number: str) -> ResponseReturnValue:
    """One report; its text opens whether or not its images do."""
    values: dict[str, Any] = {"kind": kind, "binding_id": binding_id}
    listed = url_for("portal.reports", **values)
    try:
        binding, fetched = services().reports.report(follower_id(), BindingKind(kind), binding_id, number)
    except Refusal as refusal:
        return _unavailable(refusal, url_for("portal.report", number=number, **values), listed)
    found = services().reports.images(fetched.value)
    return render_template(
        "portal/report.html", kind=kind, binding=binding, report=fetched.value, fetched=fetched, images=found,
        pictures=_pictures(found, fetched.value, values), more=max(0, len(found.items) - SHOWN), back_url=listed,
        updated=_updated(fetched.fetched_at), flags=_flags(), lab=fetched.value.kind is ReportKind.LAB,
        self_url=url_for("portal.report", number=number, **values), abnormal=_abnormal(fetched.value),
        unjudged=any(item.flag is AbnormalFlag.UNDETERMINED for item in fetched.value.items),
    )  # fmt: skip


@blueprint.get("/cards/<binding_id>/reports/<number>/images/<int:place>", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/reports/<number>/images/<int:place>", defaults={"kind": "admission"})
@signed_in
def image(kind: str, binding_id: str, number: str, place: int) -> ResponseReturnValue:
    """The picture in `?w=600` or `?w=1080`: a JPEG this phone alone may keep."""
    asked = request.args.get("w", str(WIDTHS[0]))
    width = next((one for one in WIDTHS if str(one) == asked), 0)
    body = services().reports.picture(follower_id(), BindingKind(kind), binding_id, number, place, width)
    response = Response(body, mimetype="image/jpeg")
    response.headers["Cache-Control"] = f"private, max-age={KEEP_S}"
    return response


def _unavailable(refusal: Refusal, again: str, back_url: str) -> ResponseReturnValue:
    """The error state of these pages: what happened and a way to try again; other refusals are not ours."""
    if refusal.code != "reports.unavailable":
        raise refusal
    page = render_template("portal/reports_away.html", refusal=refusal, again=again, back_url=back_url)
    return page, status_of(refusal)


def _updated(at: datetime) -> str:
    """`08:31` when it was today, else with its day."""
    local = at.astimezone(SHANGHAI)
    same_day = local.date() == services().clock.now().astimezone(SHANGHAI).date()
    return f"{local:%H:%M}" if same_day else f"{local:%m-%d %H:%M}"


def _pictures(found: Images, report: Report, values: dict[str, str]) -> list[dict[str, Any]]:
    """What the template needs of each image: addresses, the room it takes, and words for who cannot see it."""
    shown = []
    for place, one in enumerate(found.items[:SHOWN], 1):
        where: dict[str, Any] = {**values, "number": report.report_no, "place": place}
        columns, rows = one.columns or 4, one.rows or 3
        longest = max(columns, rows)
        shown.append({
            "place": place, "drawable": bool(one.rows),
            "width": max(1, WIDTHS[0] * columns // longest), "height": max(1, WIDTHS[0] * rows // longest),
            "src": url_for("portal.image", w=WIDTHS[0], **where),
            "srcset": ", ".join(f"{url_for('portal.image', w=w, **where)} {w * columns // longest}w" for w in WIDTHS),
            "alt": _("%(name)s,第 %(place)s 幅,共 %(count)s 幅", name=report.name, place=place, count=len(found.items)),
        })  # fmt: skip
    return shown


def _abnormal(report: Report) -> int:
    return sum(item.flag in ABNORMAL for item in report.items)


def _flags() -> dict[AbnormalFlag, tuple[str, str, str]]:
    """Each flag as tone, icon and word: never a colour alone; what nobody can tell is never called normal."""
    return {
        AbnormalFlag.NORMAL: ("ok", "check", _("正常")),
        AbnormalFlag.HIGH: ("warn", "arrow-up", _("偏高")),
        AbnormalFlag.LOW: ("warn", "arrow-down", _("偏低")),
        AbnormalFlag.CRITICAL_HIGH: ("stop", "arrow-up", _("危急高")),
        AbnormalFlag.CRITICAL_LOW: ("stop", "arrow-down", _("危急低")),
        AbnormalFlag.ABNORMAL: ("warn", "triangle-alert", _("异常")),
        AbnormalFlag.POSITIVE: ("warn", "plus", _("阳性")),
        AbnormalFlag.NEGATIVE: ("quiet", "minus", _("阴性")),
        AbnormalFlag.UNDETERMINED: ("quiet", "circle-question-mark", _("未判定")),
    }
