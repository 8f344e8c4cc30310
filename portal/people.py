"""Cards and stays: lists, binding, unbinding with a confirmation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from core.errors import Refusal
from portal.door import blueprint, follower_id, services, signed_in
from portal.home import current_card
from services.cards import Claim, plain
from store.port import Binding, BindingKind
from web.errors import status_of, wants_json

JUST_BOUND = "just_bound"
_FIELDS = ("number", "name", "id_no", "phone")
_SHAPES = {
    "number": re.compile(r"[0-9A-Za-z-]{4,32}"),
    "name": re.compile(r".{1,60}"),
    "id_no": re.compile(r"[0-9A-Za-z()/-]{5,30}"),
    "phone": re.compile(r"\+?[0-9-]{7,20}"),
}


@blueprint.get("/cards")
@signed_in
def cards() -> ResponseReturnValue:
    """The follower's cards."""
    found = services().cards.cards(follower_id())
    current = current_card(found)
    return _listed("card", found, current=current and current.id)


@blueprint.get("/admissions")
@signed_in
def admissions() -> ResponseReturnValue:
    """The follower's stays."""
    return _listed("admission", services().cards.admissions(follower_id()))


def _listed(kind: str, bindings: list[Binding], **more: object) -> str:
    return render_template(
        "portal/list.html", kind=kind, bindings=bindings, fresh=session.get(JUST_BOUND),
        has_reports=services().reports.offered, **more,
    )  # fmt: skip


@blueprint.get("/bind")
@signed_in
def bind() -> ResponseReturnValue:
    """The four fields; ``?kind=admission`` for a stay."""
    return _form(_kind(request.args), {}, None)


@blueprint.post("/bind")
@signed_in
def bind_now() -> ResponseReturnValue:
    """Check the four fields with the HIS. What was typed is never sent back: it is personal."""
    kind = _kind(request.form)
    said = {field: request.form.get(field, "")[:200] for field in _FIELDS}
    faults = _shape_faults(kind, said)
    if faults:
        if wants_json():
            return jsonify(fields=list(faults.items())), 400
        return _form(kind, faults, None), 400
    claim = Claim(kind, **said)
    try:
        binding = services().cards.bind(follower_id(), claim, request.remote_addr or "")
    except Refusal as refusal:
        if wants_json():
            raise
        return _form(kind, {}, refusal), status_of(refusal), _wait_header(refusal)
    session[JUST_BOUND] = binding.id
    done = url_for("portal.cards" if kind is BindingKind.CARD else "portal.admissions")
    return jsonify(go=done) if wants_json() else redirect(done, 303)


@blueprint.get("/cards/<binding_id>/unbind", defaults={"kind": "card"})
@blueprint.get("/admissions/<binding_id>/unbind", defaults={"kind": "admission"})
@signed_in
def unbind(kind: str, binding_id: str) -> ResponseReturnValue:
    """Ask once more."""
    binding = services().cards.get(follower_id(), BindingKind(kind), binding_id)
    return render_template("portal/unbind.html", kind=kind, binding=binding)


@blueprint.post("/cards/<binding_id>/unbind", defaults={"kind": "card"})
@blueprint.post("/admissions/<binding_id>/unbind", defaults={"kind": "admission"})
@signed_in
def unbind_now(kind: str, binding_id: str) -> ResponseReturnValue:
    """Unbind; the codes are void from this moment."""
    services().cards.unbind(follower_id(), BindingKind(kind), binding_id)
    return redirect(url_for("portal.cards" if kind == "card" else "portal.admissions"), 303)


def _kind(values: Mapping[str, str]) -> BindingKind:
    return BindingKind.ADMISSION if values.get("kind") == "admission" else BindingKind.CARD


def _form(kind: BindingKind, faults: Mapping[str, str], refusal: Refusal | None) -> str:
    return render_template("portal/bind.html", kind=kind.value, faults=faults, refusal=refusal)


def _wait_header(refusal: Refusal) -> dict[str, str]:
    return {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else {}


def _shape_faults(kind: BindingKind, said: Mapping[str, str]) -> dict[str, str]:
    """What is plainly missing or misshapen, by field; says nothing about what the HIS holds."""
    number = _("就诊卡号") if kind is BindingKind.CARD else _("住院号")
    missing = {
        "number": _("请填写%(what)s", what=number),
        "name": _("请填写患者姓名"),
        "id_no": _("请填写证件号码"),
        "phone": _("请填写手机号"),
    }
    wrong = {
        "number": _("%(what)s只有数字和字母,请对照卡面再填一次", what=number),
        "name": _("姓名太长了,请核对"),
        "id_no": _("证件号码只有数字和字母,请核对"),
        "phone": _("手机号只有数字,请核对"),
    }
    faults: dict[str, str] = {}
    for field in _FIELDS:
        text = plain(said[field])
        if not text:
            faults[field] = missing[field]
        elif not _SHAPES[field].fullmatch(text):
            faults[field] = wrong[field]
    return faults
