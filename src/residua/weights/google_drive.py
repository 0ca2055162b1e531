"""Google Drive's page that asks before it sends a large file, and the address of the file behind it."""

import urllib.parse
from html.parser import HTMLParser

_FORM = "download-form"


def confirmed_address(address: str, page: str) -> str | None:
    """The address that the button of Drive's page asks for.

    Args:
        address: Address of the page.
        page: Its text: "Google Drive can't scan this file for viruses".

    Returns:
        The address of the file, with the token that confirms the question; None for another page, e.g. where
        too many people fetched the file today.
    """
    form = _DownloadForm()
    form.feed(page)
    if form.action is None:
        return None
    return f"{urllib.parse.urljoin(address, form.action)}?{urllib.parse.urlencode(form.fields)}"


class _DownloadForm(HTMLParser):
    """The form with the button: its action and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag opens."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("id") == _FORM:
            self.action, self._is_inside = values.get("action", ""), True
        elif tag == "input" and self._is_inside and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """A tag closes."""
        if tag == "form":
            self._is_inside = False
