"""Pages: the packaged files of the server's own page, read once when it starts; nothing else is served."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

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


def page_files() -> dict[str, PageFile]:
    """The files of the page by name; empty where the package holds none."""
    if not FOLDER.is_dir():
        return {}
    return {
        path.name: _page_file(path)
        for path in sorted(FOLDER.iterdir())
        if path.suffix in TYPES and path.is_file()
    }


def _page_file(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
