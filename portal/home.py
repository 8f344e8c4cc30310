"""The home page and the settings."""

from __future__ import annotations

from flask import render_template, session, url_for
from flask.typing import ResponseReturnValue

from portal.door import blueprint, follower_id, my_session, services, signed_in
from store.port import Binding, BindingKind
from web.text_size import SIZES

CURRENT = "current"


def current_card(cards: list[Binding]) -> Binding | None:
    """The card chosen on this phone, else the first."""
    chosen = session.get(CURRENT)
    return next((card for card in cards if card.id == chosen), cards[0] if cards else None)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Who is it for, the code to show, and the four groups."""
    me = follower_id()
    cards = services().cards.cards(me) if me else []
    stays = services().cards.admissions(me) if me else []
    return render_template(
        "portal/home.html", card=current_card(cards), cards=cards, stays=stays, has_reports=services().reports.offered
    )


@blueprint.post("/cards/<binding_id>/choose")
@signed_in
def choose(binding_id: str) -> ResponseReturnValue:
    """Make this the card the home page shows."""
    binding = services().cards.get(follower_id(), BindingKind.CARD, binding_id)
    my_session()[CURRENT] = binding.id
    return "", 303, {"Location": url_for("portal.home")}


@blueprint.get("/settings")
def settings() -> ResponseReturnValue:
    """Language, text size, privacy, sign-out."""
    return render_template("portal/settings.html", sizes=SIZES)
