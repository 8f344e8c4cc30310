"""Signing in with WeChat and out again."""

from __future__ import annotations

from flask import redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from core.errors import Refusal
from portal.door import blueprint, follower_id, my_session, safe_next, services
from web.security import csrf_value

_NEXT = "login_next"


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Send the browser to WeChat; ``?next=`` is where it ends up."""
    target = safe_next(request.args.get("next", ""))
    if follower_id():
        return redirect(target, 303)
    mine = my_session()
    session[_NEXT] = target
    callback = services().config.server.public_url + url_for("portal.wechat_callback")
    return redirect(services().login.start(mine.token, callback), 303)


@blueprint.get("/wechat/callback")
def wechat_callback() -> ResponseReturnValue:
    """WeChat sends the browser back here with ``code`` and ``state``; nothing else in the request counts."""
    mine = my_session()
    target = safe_next(str(session.get(_NEXT, "")))
    state, code = request.args.get("state", ""), request.args.get("code", "")
    try:
        follower = services().login.finish(mine.known_token, state, code)
    except Refusal:
        if follower_id():  # WeChat's browser likes to call twice: the first call has signed in already
            return redirect(target, 303)
        raise
    mine.sign_in(follower.id, {_NEXT: target})
    csrf_value()
    return redirect(target, 303)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session here and for every copy of its cookie."""
    my_session().end()
    return redirect(url_for("portal.home"), 303)
