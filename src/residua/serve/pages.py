"""Pages: the packaged files of a server's own page, read once when it starts; nothing else is served."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from residua.serve.problems import Refusal

FOLDER = Path(__file__).parent / "page"
"""The files, beside this module."""
INDEX = "index.html"
"""The page itself."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
}
"""Types by suffix; files of other kinds are not served."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of the page: its own files, and no other host."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    content: bytes
    """All of it."""
    content_type: str
    """Its type."""
    tag: str
    """Its digest, as an entity tag."""


def page_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The files of the page in `folder` by name; empty where the package holds none."""
    if not folder.is_dir():
        return {}
    return {
        path.name: _page_file(path)
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES and path.is_file()
    }


def _page_file(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def page_response(request: Request, file: PageFile | None) -> Response:
    """The response with a file of the page, or 304 where the browser has it.

    Raises:
        Refusal: There is no such file.
    """
    if file is None:
        raise Refusal(404, "there is no such file", reason="not found")
    headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.content_type)
