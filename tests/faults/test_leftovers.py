"""`residua resume` needs nobody: whatever a crash left behind, the run ends (reliability P1, P3, P4, F15)."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import residua as python
from residua.data.decode import DataError
from residua.jobs.train import resume
from residua.spec.recipe import Budget
from residua.training import checkpoint
from residua.training.events import Event, Note
from residua.training.run import Run
from residua.training.spare import mend
from small import after, arch, file_of, flip, recipe, rows, weights

Spoil = Callable[[Run], object]
Half = Callable[[Path], Run]


@pytest.fixture(scope="module")
def short(photos: Path) -> Path:
    """A recipe of 16 steps in 4 epochs that saves after every step."""
    made = recipe("", arch=arch(), budget=Budget(epochs=4, batch=6, save_seconds=0.0))
    return file_of(made, photos.parent / "short.json")


@pytest.fixture(scope="module")
def clean(trained: Callable[..., Run], short: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nothing disturbed."""
    return trained(tmp_path_factory.mktemp("clean") / "run", recipe=short)


@pytest.fixture(scope="module")
def half(trained: Callable[..., Run], short: Path) -> Half:
    """Trains that recipe until its second epoch."""
    return lambda path: trained(path, after(9), recipe=short)


def every_state(run: Run) -> None:
    for path in checkpoint.states(run.checkpoints):
        flip(path)


def newest_state(run: Run) -> None:
    flip(checkpoint.states(run.checkpoints)[0])


def no_state(run: Run) -> None:
    for path in checkpoint.states(run.checkpoints):
        path.unlink()


def temporary_files(run: Run) -> None:
    for folder in (run.path, run.checkpoints):
        (folder / ".half.4242.tmp").write_bytes(b"half")


def torn_metrics(run: Run) -> None:
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 99, "st')


def clocks(run: Run) -> None:
    for age, path in enumerate(checkpoint.states(run.checkpoints)):
        os.utime(path, (86_400 * age, 86_400 * age))


@pytest.mark.parametrize(
    "spoil", [every_state, newest_state, no_state, temporary_files, torn_metrics, clocks]
)
def test_a_run_ends_as_one_that_nothing_disturbed_with(
    spoil: Spoil, half: Half, clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    assert not run.finished
    spoil(run)
    python.resume(run.path)
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)
    assert run.finished
    assert (run.path / "report.html").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_whose_states_are_all_damaged_says_that_it_begins_again(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    every_state(run)
    told: list[Event] = []
    resume(run.path, listen=told.append)
    assert isinstance(told[0], Note)
    assert "can be used" in told[0].text
    assert told[0].text.endswith("beginning again with the first step")


def test_a_finished_run_without_a_report_gets_one(
    trained: Callable[..., Run], short: Path, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", recipe=short)
    whole = (run.path / "report.html").read_text()
    (run.path / "report.html").unlink()
    python.resume(run.path)
    assert (run.path / "report.html").read_text() == whole


@pytest.mark.parametrize("name", ["torch", "processor", "device", "processes"])
def test_another_environment_is_refused_unless_forced_and_then_written_down(
    name: str, half: Half, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    file = run.path / "environment.json"
    then = json.loads(file.read_text())
    held = then["versions"] if name == "torch" else then
    now, held[name] = held[name], "another"
    file.write_text(json.dumps(then))
    line = f"{name} is {now}, was another"
    with pytest.raises(ValueError, match=f"{line}: the rest would not equal .*give --force-environment"):
        resume(run.path)
    told: list[Event] = []
    resume(run.path, force_environment=True, listen=told.append)
    assert told[0] == Note(f"{line}: the rest will not equal an uninterrupted run")
    assert run.finished
    assert json.loads(file.read_text())["moves"] == [{"after_rows": 1, "moved": [line]}]


@pytest.mark.parametrize("damage", ["lost", "torn", "of another kind"])
def test_without_its_environment_a_run_goes_on_and_says_so(
    damage: str, half: Half, clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    file = run.path / "environment.json"
    whole = json.loads(file.read_text())
    if damage == "lost":
        file.unlink()
    else:
        file.write_text('{"residua": "0.' if damage == "torn" else "[1, 2]")
    told: list[Event] = []
    resume(run.path, listen=told.append)
    assert isinstance(told[0], Note)
    assert told[0].text.startswith(f"{file} is lost or damaged, so it is written anew")
    assert weights(run) == weights(clean)
    assert json.loads(file.read_text()) == whole


@pytest.mark.parametrize("damage", ["lost", "torn", "flipped"])
@pytest.mark.parametrize("name", ["recipe.json", "data.json"])
def test_what_no_run_can_do_without_is_put_back(
    name: str, damage: str, half: Half, clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    file = run.path / name
    whole = file.read_text()
    if damage == "lost":
        file.unlink()
    else:
        file.write_text(whole[: len(whole) // 2] if damage == "torn" else whole.replace('"', "'", 1))
    told: list[Event] = []
    resume(run.path, listen=told.append)
    assert told[0] == Note(f"{file} was lost or damaged, so it is put back from checkpoints/spare.json")
    assert file.read_text() == whole
    assert weights(run) == weights(clean)


def test_a_recipe_that_was_edited_is_kept_and_a_damaged_spare_is_no_help(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    edited = (run.path / "recipe.json").read_text().replace('"seed": 0', '"seed": 1')
    (run.path / "recipe.json").write_text(edited)
    assert mend(run.path) == []
    assert (run.path / "recipe.json").read_text() == edited
    flip(run.path / "checkpoints/spare.json")
    (run.path / "data.json").write_text("{")
    assert mend(run.path) == []
    with pytest.raises(DataError, match=r"data.json is damaged.*: put it back, or train anew"):
        resume(run.path)
