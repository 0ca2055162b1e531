"""Korean pages: every string of the translated pages has a translation with the same code and links."""

import importlib
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_site"))
translations = importlib.import_module("translations")
PAGES = {
    file.relative_to(DOCS).with_suffix("").as_posix(): file
    for pattern in translations.PAGES
    for file in sorted(DOCS.glob(pattern))
}
UNTRANSLATED = 20
"""Most strings of all pages without a translation: who changes an English page need not know Korean."""


def marks(text: str) -> Counter[str]:
    """What a translation leaves as it is: code, mathematics and targets of links."""
    return Counter(re.findall(r"`[^`]+`|\$[^$]+\$|\]\([^)]+\)", text))


@pytest.mark.parametrize("page", PAGES)
def test_code_and_links_of_a_translation_are_those_of_the_original(page: str) -> None:
    pairs = translations.translations("ko", page)
    assert [text for text, ours in pairs.items() if ours and marks(text) != marks(ours)] == []


@pytest.fixture(scope="module")
def strings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    templates = translations.templates(tmp_path_factory.mktemp("strings"))
    return {page: [str(each.id) for each in strings if each.id] for page, strings in templates.items()}


def test_files_of_translations_have_the_strings_of_their_pages(strings: dict[str, list[str]]) -> None:
    assert sorted(strings) == sorted(PAGES)
    stale = [page for page, texts in strings.items() if list(translations.translations("ko", page)) != texts]
    assert stale == [], "run: make translations"


def test_few_strings_are_without_a_translation(strings: dict[str, list[str]]) -> None:
    missing = {
        page: sum(not translations.translations("ko", page).get(text) for text in texts)
        for page, texts in strings.items()
    }
    assert sum(missing.values()) <= UNTRANSLATED, missing
