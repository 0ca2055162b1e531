"""docs/explanation/reproductions.md is what a function writes of the committed runs, and the lessons run."""

import json
import re
import statistics
from pathlib import Path

import pytest

from command import python, succeeded
from few import few_of
from residua.reproduce.reproductions_md import write_docs

DOCS = Path(__file__).parents[2] / "docs"
RUNS = DOCS / "results/reproduce/runs"
LESSONS = sorted((DOCS / "lessons").glob("*.ipynb"))


def test_the_page_is_regenerated_from_the_committed_runs(tmp_path: Path) -> None:
    assert write_docs(tmp_path / "page.md", DOCS / "results/reproduce") > 0
    regenerated, committed = tmp_path / "page.md", DOCS / "explanation/reproductions.md"
    assert regenerated.read_text() == committed.read_text(), (
        "run: residua reproduce --write-docs docs/explanation/reproductions.md -o docs/results/reproduce"
    )
    pictures = {file.name: file.read_text() for file in (DOCS / "explanation/reproductions").iterdir()}
    assert pictures == {file.name: file.read_text() for file in (tmp_path / "reproductions").iterdir()}
    assert all(f"(reproductions/{name})" in committed.read_text() for name in pictures)


def test_a_figure_of_digits_does_not_say_that_it_shows_cifar() -> None:
    figures = [*(DOCS / "explanation/reproductions").glob("*-smoke-*.svg")]
    titles = {
        title for file in figures for title in re.findall(r">([^<]*CIFAR[^<]*)<", file.read_text(), re.I)
    }
    assert titles == {"CIFAR-10 in the paper"}


def test_a_number_on_the_page_is_a_number_of_a_run() -> None:
    runs = [RUNS / f"digits-5-epochs-cifar_plain56-seed{seed}" for seed in range(3)]
    last = [json.loads((run / "finished.json").read_text()) for run in runs]
    tested, trained = ([one[f"{part}_error"] for one in last] for part in ("test", "train"))
    page = (DOCS / "explanation/reproductions.md").read_text()
    row = next(line for line in page.splitlines() if "| plain-56 |" in line)
    assert f"| {statistics.fmean(tested):.2f} ± {statistics.stdev(tested):.2f} (n = 3) |" in row
    assert f"| {statistics.fmean(trained):.2f} % |" in row


def test_committed_runs_are_small() -> None:
    assert not list(RUNS.glob("*/checkpoints/*"))
    measured = [*(RUNS.parent / "weights").iterdir()]
    assert {file.suffix for file in measured} == {".json"}  # numbers, never the weights of others
    assert sum(file.stat().st_size for file in measured) < 100_000
    assert sum(file.stat().st_size for file in RUNS.rglob("*.json*")) < 3_500_000


def test_there_are_five_lessons() -> None:
    photos, inside = "few-photos", "inside-a-trained-network"
    names = [photos, inside, "the-ladder", "what-the-shortcut-carries", "why-deeper-got-worse"]
    assert [lesson.stem for lesson in LESSONS] == names


@pytest.mark.timeout(400)
@pytest.mark.parametrize("lesson", few_of(LESSONS, LESSONS[-1:]), ids=lambda lesson: lesson.stem)
def test_a_lesson_runs_and_was_run(lesson: Path) -> None:
    cells = [cell for cell in json.loads(lesson.read_text())["cells"] if cell["cell_type"] == "code"]
    script = "\n".join("".join(cell["source"]) for cell in cells)
    printed = succeeded(python("-c", script, cwd=lesson.parent, timeout=400))
    assert all(cell["execution_count"] for cell in cells)
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
    committed = "".join(text for cell in cells for out in cell["outputs"] for text in out.get("text", []))
    assert [line.split()[0] for line in printed.splitlines() if line] == [
        line.split()[0] for line in committed.splitlines() if line
    ]
