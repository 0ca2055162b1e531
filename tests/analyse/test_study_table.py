"""The table of studies: complete, light, and equal to the docs."""

from pathlib import Path

import pytest

from residua import analyse
from residua.analyse.table import STUDIES, find_study
from residua.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs/how-to/analyses.md"


def docs_table() -> list[str]:
    """Rows of the table in docs/how-to/analyses.md, as the code has them."""
    rows = ["| study | what is measured | needs | source |", "| --- | --- | --- | --- |"]
    for study in map(find_study, STUDIES):
        rows.append(f"| `{study.name}` | {study.measures} | {study.needs.value} | {study.source} |")
    return rows


def test_the_docs_list_every_study_as_the_table_does() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("|")]
    assert rows == docs_table()


def test_a_row_names_the_module_whose_study_has_that_name() -> None:
    assert [find_study(name).name for name in STUDIES] == list(STUDIES)
    assert [module.rpartition(".")[2] for module in STUDIES.values()] == list(STUDIES)


def test_an_unknown_study_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="lesion"):
        find_study("lesions")


def test_every_public_function_resolves() -> None:
    assert all(callable(getattr(analyse, name)) for name in analyse.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        analyse.nothing_like_it  # noqa: B018 - the lookup is the test
