"""Strings of the translated pages: `python docs/_site/translations.py` brings `docs/locale` up to date.

Sphinx collects the strings of each page. A string that is still on its page keeps its translation, a new one
is empty, and one that has left the page is deleted. Code blocks are no strings: they are the same in every
language.
"""

import sys
import tempfile
from pathlib import Path

from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
LANGUAGES = ("ko",)
PAGES = (
    "index.md",
    "*/index.md",
    "start/*.md",
    "explanation/degradation.md",
    "explanation/notation.md",
    "explanation/he2015.md",
    "explanation/he2016.md",
    "explanation/duta2020.md",
    "reference/glossary.md",
)
"""Pages that are translated; the others are English in every language."""


def templates(folder: Path) -> dict[str, Catalog]:
    """Page -> its strings, collected by Sphinx.

    Args:
        folder: An empty folder for what Sphinx writes.
    """
    settings = {"include_patterns": PAGES, "nitpicky": False, "suppress_warnings": ["*"]}
    Sphinx(DOCS, DOCS, folder, folder / "doctrees", "gettext", settings, None, None).build()
    return {
        file.relative_to(folder).with_suffix("").as_posix(): read_po(file.open("rb"))
        for file in sorted(folder.rglob("*.pot"))
        if file.name != "sphinx.pot"
    }


def catalog_file(language: str, page: str) -> Path:
    """Where the translations of a page are."""
    return DOCS / "locale" / language / "LC_MESSAGES" / f"{page}.po"


def translations(language: str, page: str) -> dict[str, str]:
    """String -> its translation, empty where there is none yet."""
    file = catalog_file(language, page)
    catalog = read_po(file.open("rb"), locale=language) if file.exists() else Catalog(language)
    return {str(message.id): str(message.string) for message in catalog if message.id}


def update(language: str, page: str, template: Catalog) -> int:
    """Bring the file of a page up to date; the number of its strings without a translation."""
    known = translations(language, page)
    catalog = Catalog(language, fuzzy=False, header_comment=f"# Strings of docs/{page}.md")
    for message in template:
        if message.id:
            catalog.add(message.id, known.get(str(message.id), ""))
    file = catalog_file(language, page)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        write_po(out, catalog, omit_header=True, width=0)
    return sum(not message.string for message in catalog if message.id)


def main() -> None:
    """Update every file and print how many strings are not translated."""
    with tempfile.TemporaryDirectory() as folder:
        pages = templates(Path(folder))
    for language in LANGUAGES:
        for page, template in pages.items():
            missing = update(language, page, template)
            print(f"{language} {page}: {missing} of {len(template)} strings without translation")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
