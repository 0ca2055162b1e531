"""Guard: the outermost layer of the application; it refuses what no route should see, and words every error.

A page of another site cannot use the server through a visitor's browser: a request whose `Origin` is another
site is refused, and so is a `Host` that is neither an address, nor `localhost`, nor allowed by name. An
attacker who lets a name of his point to this machine (DNS rebinding) has to send that name.
"""

import ipaddress
import logging
from collections.abc import Mapping
from typing import Protocol

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from residua.serve.limits import Limits
from residua.serve.problems import ConnectionLost, Refusal

LOG = logging.getLogger("residua.serve")
"""Where a program finds what went wrong inside the server."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every response."""


class Guarded(Protocol):
    """What an application behind the guard says about itself, and counts."""

    limits: Limits
    """What requests may use."""
    is_draining: bool
    """Whether it is about to stop, so that connections are closed."""

    def count_rejected(self, reason: str) -> None:
        """Count a request that was refused."""

    def count_response(self, route: str, status: int) -> None:
        """Count a request by its route and the status of its response."""


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, service: Guarded) -> None:
        self._app, self._service = app, service
        self._limits = service.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                last = [(b"connection", b"close")] if self._service.is_draining else []
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS, *last]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_guarded)
        except Refusal as refusal:
            self._service.count_rejected(refusal.reason)
            closing = {"Connection": "close"} if refusal.reason == "framing" else {}
            headers = {**refusal.headers, **closing}
            await error_response(refusal.status, refusal.text, headers)(scope, receive, send_guarded)
        except ConnectionLost:
            self._service.count_rejected("gone")
            # Nobody reads it; a response ends the request for the server.
            await error_response(499, "the client is gone")(scope, receive, send_guarded)
        except Exception as error:
            LOG.error("a request failed: %s", type(error).__name__, exc_info=error)
            if not status:
                text = "the server failed: its log says more"
                await error_response(500, text)(scope, receive, send_guarded)
        route = getattr(scope.get("route"), "path", "none")
        self._service.count_response(route, status)

    def _check(self, scope: Scope) -> None:
        size = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes:  # h11 checks it only while the end of the headers is missing
            text = f"address and headers are too long: send at most {self._limits.header_bytes} bytes"
            raise Refusal(431, text, reason="headers")
        if len(scope["headers"]) > self._limits.headers:
            text = f"too many headers: send at most {self._limits.headers}"
            raise Refusal(431, text, reason="headers")
        headers = Headers(scope=scope)
        host = host_name(headers.get("host", ""))
        if not is_allowed(host, self._limits.hosts):
            raise Refusal(
                403, "this name of the server is not allowed: start it with --allow-host", reason="host"
            )
        if "transfer-encoding" in headers and "content-length" in headers:  # a proxy may see another end
            raise Refusal(400, "the body has a length and chunks: send one of them", reason="framing")
        if headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "the body is compressed: send it as it is", reason="bad request")
        if not is_same_site(headers, scope["method"], self._limits.hosts):
            raise Refusal(403, "requests of other sites are not allowed", reason="origin")


def host_name(host: str) -> str:
    """The name in a `Host` header, in lower case and without the port; empty where it is damaged."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "none"
    else:
        name, _, port = host.partition(":")
    return name.lower().rstrip(".") if not port or (port.isascii() and port.isdigit()) else ""


def is_allowed(name: str, hosts: tuple[str, ...]) -> bool:
    """Whether clients may call the server so."""
    if "*" in hosts or name == "localhost" or (name and name in hosts):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_site(headers: Mapping[str, str], method: str, hosts: tuple[str, ...]) -> bool:
    """Whether a request comes from the server's own page, or from no page at all."""
    origin = headers.get("origin")
    if origin is not None:
        place = origin.partition("://")[2]
        return bool(place) and (place == headers.get("host") or host_name(place) in hosts)
    return method in ("GET", "HEAD") or headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def error_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`{"error": text}`."""
    return JSONResponse({"error": text}, status, dict(headers or {}))
