"""Access: who may read and act, beside what the guard refuses.

    action (not GET or HEAD)         needs the token in the header X-Residua-Token, which the page has from
                                     its own HTML: another site can neither read it nor set the header
    reading, on this machine alone   is free
    reading, beyond this machine     needs the token: the printed address carries it once, a cookie later

The token is drawn anew at each start.
"""

import secrets

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from residua.lab.state import Lab
from residua.serve.problems import Refusal

HEADER = "x-residua-token"
"""Header of actions."""
COOKIE = "residua_lab"
"""Cookie of browsers on other machines."""


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


class Access:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, lab: Lab) -> None:
        self._app, self._lab = app, lab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token = headers.get(HEADER, "")
        is_action = scope["method"] not in ("GET", "HEAD")
        if is_action and self._lab.is_read_only:
            raise Refusal(403, "this lab is read-only: start it without --read-only", reason="read-only")
        if is_action and not self._is_token(token):
            raise Refusal(
                403, "the token is missing or of an earlier start: load the page again", reason="token"
            )
        if self._lab.is_token_needed and not self._is_token(token):
            cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
            if scope["path"] == "/" and self._is_token(_token_in(scope["query_string"])):
                await self._remember(scope, receive, send)
                return
            if not self._is_token(cookie):
                text = "open the address that `residua lab` printed: it carries a token"
                raise Refusal(401, text, reason="token")
        await self._app(scope, receive, send)

    async def _remember(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the token into a cookie, and take it out of the address."""
        response = RedirectResponse("./", 303)
        response.set_cookie(COOKIE, self._lab.token, httponly=True, samesite="strict")
        await response(scope, receive, send)

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "replace"), self._lab.token.encode())


def _token_in(query: bytes) -> str:
    """The token in `?token=...`."""
    name, _, value = query.decode("ascii", "replace").partition("=")
    return value if name == "token" else ""
