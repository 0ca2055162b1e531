"""The table of sources: parsing, one row for a new data set, help, errors and docs made from it."""

import sys
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residua import tasks
from residua.data.images import Images
from residua.data.listing import ListingOptions, SourceListing
from residua.data.open import find, find_boxes, open_dataset
from residua.data.sources import table
from residua.data.sources.table import SOURCES, SourceKind, help_text, holds, markdown_table, parse_source
from residua.errors import DataError

DOCS = Path(__file__).parents[3] / "docs/how-to/data.md"
NAMES = [name for name, kind in SOURCES.items() if kind.is_named]


@given(st.one_of(st.text(), st.builds("{}:{}".format, st.sampled_from(NAMES), st.text())))
def test_every_text_comes_back_from_its_source(text: str) -> None:
    assert str(parse_source(text)) == text
    assert parse_source(parse_source(text)) == parse_source(text)


@pytest.mark.parametrize(
    ("text", "name", "place", "contents"),
    [
        ("voc:cells", "voc", "cells", "boxes"),
        ("video:a:b", "video", "a:b", "clips"),
        ("digits", "digits", None, "images"),
        ("cifar10:", "cifar10", "", "images"),
        ("./digits", "", "./digits", "images"),
        ("vocs:cells", "", "vocs:cells", "images"),
        ("https://host/index.json", "", "https://host/index.json", "images"),
    ],
)
def test_a_source_is_a_known_name_and_a_place(text: str, name: str, place: str | None, contents: str) -> None:
    source = parse_source(text)
    assert (source.name, source.place, holds(source)) == (name, place, contents)
    assert source.is_named == bool(name)


def test_an_absolute_source_keeps_addresses_and_names_on_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved").mkdir()
    for text, absolute in {
        "photos": f"{tmp_path}/photos",
        "voc:cells": f"voc:{tmp_path}/cells",
        "hf:saved": f"hf:{tmp_path}/saved",
        "hf:owner/name": "hf:owner/name",
        "s3://bucket/shards": "s3://bucket/shards",
        "cifar10": "cifar10",
        "": "",
    }.items():
        assert str(parse_source(text).absolute()) == absolute


def test_labels_are_short() -> None:
    assert [parse_source(text).label for text in ("voc:cells", "a/photos/", "digits")] == [
        "voc",
        "photos",
        "digits",
    ]


def test_every_row_names_a_function_that_exists() -> None:
    for kind in SOURCES.values():
        assert callable(resolve_name(kind.finder))


def test_the_table_in_the_docs_is_made_from_the_table_in_code() -> None:
    assert markdown_table() in DOCS.read_text("utf-8"), f"put this into {DOCS.name}:\n{markdown_table()}"


def find_stripes(place: str, options: ListingOptions) -> SourceListing:
    """A data set as `table.py` describes it: two classes of striped images."""
    labels = np.arange(40) % 2
    pixels = np.zeros((40, 8, 8, 3), np.uint8)
    pixels[labels == 1, ::2] = 255
    return SourceListing(
        f"stripes:{place}", Images("train", ("flat", "striped"), labels, pixels=pixels), None, ""
    )


def test_a_new_data_set_is_one_function_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("residua.data.sources.stripes")
    module.find_stripes = find_stripes  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    finder = "residua.data.sources.stripes:find_stripes"
    row = SourceKind("images", ("stripes:DIR",), "striped images", "by hash", finder)
    monkeypatch.setitem(SOURCES, "stripes", row)  # type: ignore[arg-type]
    dataset = open_dataset("stripes:folder", val_fraction=0.25)
    assert (dataset.name, dataset.size, len(dataset.train), len(dataset.test)) == (
        "stripes:folder",
        8,
        30,
        10,
    )
    assert parse_source("stripes:folder").is_named
    assert type(tasks.data_task_of("stripes:folder")) is type(tasks.data_task_of("digits"))
    assert "stripes:DIR" in help_text()
    assert "| `stripes:DIR` | images | striped images | by hash | |" in markdown_table()
    with pytest.raises(DataError, match=r"no file.*stripes:DIR"):
        find("stripes:")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "no folder or file"),
        ("cifar10:", "'cifar10:' .*cifar10 or cifar10:DIR"),
        ("imagenet", "'imagenet' .*imagenet:DIR"),
        ("digits:8", "digits takes none"),
        ("voc:cells", "voc:cells .*boxes.*images"),
        ("python:Photos", "data="),
    ],
)
def test_a_source_that_cannot_be_used_says_what_to_give(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find(source)


def test_boxes_are_not_looked_for_in_images() -> None:
    with pytest.raises(DataError, match=r"images.*boxes.* voc:DIR or coco:DIR"):
        find_boxes("photos")


def test_the_table_loads_without_numpy() -> None:
    assert not {"np", "numpy"} & vars(table).keys()
