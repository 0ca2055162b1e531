"""Korean: headings, code and links of the README, one term for one meaning, no number lost in translation."""

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
README, README_KO = ROOT / "README.md", ROOT / "README.ko.md"
TRANSLATIONS = ROOT / "docs/locale/ko/LC_MESSAGES"
HANGUL = re.compile("[가-힣]")
CODE_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
OTHER_TERMS = {
    "스킵 연결": "지름길 연결",
    "숏컷": "지름길 연결",
    "열화": "성능 저하",
    "보틀넥": "병목",
    "항등 매핑": "항등 사상",
    "학습율": "학습률",
    "훈련": "학습",
    "에러율": "오류율",
    "오차율": "오류율",
    "학습 오차": "학습 오류율",
    "테스트 오차": "테스트 오류율",
    "가중치 감소": "가중치 감쇠",
    "파인튜닝": "미세 조정",
    "사전 훈련": "사전 학습",
    "라벨": "레이블",
    "데이터 유출": "데이터 누수",
    "매개변수": "파라미터",
    "컨볼루션": "합성곱",
    "객체 탐지": "객체 검출",
}
"""Term that other texts use -> the one of our glossary (`docs/reference/glossary.md` in Korean)."""


def headings(page: str) -> list[int]:
    """The depth of every heading."""
    return [len(mark) for mark in re.findall(r"^(#+) ", CODE_BLOCK.sub("", page), re.MULTILINE)]


def code(page: str) -> list[tuple[str, list[str]]]:
    """Language and lines of every block, without comments: these are translated."""
    blocks = CODE_BLOCK.findall(page)
    return [(kind, [line.split("  #")[0].rstrip() for line in text.splitlines()]) for kind, text in blocks]


def numbers(text: str) -> Counter[str]:
    """The numbers in prose, without those in code and links."""
    return Counter(re.findall(r"\d[\d.,]*\d|\d", re.sub(r"`[^`]*`|\]\([^)]*\)|\$[^$]*\$", "", text)))


def links(page: str) -> list[str]:
    """Where links and pictures lead, without the line that changes the language."""
    return re.findall(r"\]\(([^)]*)\)", "\n".join(line for line in page.splitlines() if " · " not in line))


@pytest.mark.parametrize("part", [headings, code, links])
def test_the_korean_readme_has_the_parts_of_the_english_one(part) -> None:
    english, korean = part(README.read_text()), part(README_KO.read_text())
    assert len(english) > 3
    assert korean == english


def test_each_readme_leads_to_the_other() -> None:
    assert README.read_text().splitlines()[2] == "English · [한국어](README.ko.md)"
    assert README_KO.read_text().splitlines()[2] == "[English](README.md) · 한국어"


@pytest.mark.parametrize("page", [README_KO, *sorted(TRANSLATIONS.rglob("*.po"))], ids=lambda page: page.stem)
def test_one_korean_term_stands_for_one_meaning(page: Path) -> None:
    text = page.read_text()
    assert HANGUL.search(text)
    assert [(term, ours) for term, ours in OTHER_TERMS.items() if term in text] == []


@pytest.mark.parametrize("page", sorted(TRANSLATIONS.rglob("*.po")), ids=lambda page: page.stem)
def test_no_number_is_lost_in_a_translation(page: Path) -> None:
    messages = [message for message in read_po(page.open("rb")) if message.id and message.string]
    lost = {str(each.id): numbers(str(each.id)) - numbers(str(each.string)) for each in messages}
    assert {text: missing for text, missing in lost.items() if missing} == {}


@pytest.mark.parametrize("page", sorted(TRANSLATIONS.rglob("*.po")), ids=lambda page: page.stem)
def test_every_translation_is_one_paragraph(page: Path) -> None:
    # Sphinx drops any other without a word: a heading "1. Check" would be a list, it needs "1\\. Check"
    texts = [str(message.string) for message in read_po(page.open("rb")) if message.id and message.string]
    kinds = {text: [token.type for token in MarkdownIt().parse(text)] for text in texts}
    assert [text for text in texts if kinds[text] != ["paragraph_open", "inline", "paragraph_close"]] == []
