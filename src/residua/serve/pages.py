"""Pages: the packaged files of a server's own page, read once when it starts; nothing else is served."""

import gzip
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
    compressed: bytes
    """The same with gzip."""
    content_type: str
    """Its type."""
    tag: str
    """Its digest, as an entity tag: a weak one, for it stands for both."""


def page_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The files of the page in `folder` by name; empty where the package holds none."""
    if not folder.is_dir():
        return {}
    return {
        path.name: page_file(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES and path.is_file()
    }


def page_file(content: bytes, content_type: str) -> PageFile:
    """A file of the page with that content."""
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return PageFile(content, gzip.compress(content, mtime=0), content_type, tag)


def page_response(request: Request, file: PageFile | None) -> Response:
    """The response with a file of the page, or 304 where the browser has it.

    Raises:
        Refusal: There is no such file.
    """
    if file is None:
        raise Refusal(404, "there is no such file", reason="not found")
    headers = {
        "ETag": file.tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": POLICY,
    }
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(file.content, headers=headers, media_type=file.content_type)
    headers["Content-Encoding"] = "gzip"
    return Response(file.compressed, headers=headers, media_type=file.content_type)


def _takes_gzip(accepted: str) -> bool:
    """Whether a header `Accept-Encoding` names gzip, with another weight than 0."""
    for coding in accepted.split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name.lower() == "gzip":
            return weight.rstrip("0.") != "" if weight else True
    return False
