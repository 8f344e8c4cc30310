"""The seam to online payment: where a page sends somebody who has to pay; nothing while no payment is built in."""

from __future__ import annotations

from flask import current_app, url_for

TOP_UP = "portal.top_up"
"""The page that will put money on a card: takes `binding_id` and `amount_fen`."""


def top_up_link(binding_id: str, amount_fen: int) -> str:
    """Address that puts exactly `amount_fen` on this card; "" while that cannot be done online, so that pages name a counter."""
    if TOP_UP not in current_app.view_functions:
        return ""
    return url_for(TOP_UP, binding_id=binding_id, amount_fen=amount_fen)
