"""Every link between Markdown files leads to a file that is there, and to a heading that it has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
FENCE = re.compile(r"^(```|:::).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", head).strip().lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


def broken_links(page: Path) -> list[str]:
    """Links of a page within the repository that lead nowhere."""
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def listed_pages(index: Path) -> set[Path]:
    """The pages that the contents of `index` name, those of the pages below it included."""
    pages = set()
    for block in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text("utf-8"), re.DOTALL):
        names = [line for line in block.splitlines() if line and not line.startswith(":")]
        for page in (found for name in names for found in index.parent.glob(f"{name}.md")):
            pages |= {page.resolve(), *listed_pages(page)} - {index}
    return pages


def test_every_page_is_in_the_contents_of_the_site() -> None:
    docs = ROOT / "docs"
    pages = {*docs.rglob("*.md")} - {docs / "index.md"} - {*docs.glob("results/*/**/*.md")}
    assert sorted(pages - listed_pages(docs / "index.md")) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One: heading\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#one-heading) [b](other.md#two) [c](none.md) [d](https://example.org)\n")
    assert broken_links(page) == ["other.md#two", "none.md"]
