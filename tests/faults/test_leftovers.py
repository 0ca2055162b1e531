"""`residua resume` needs nobody: whatever a crash left behind, the run ends (reliability P1, P3, P4, F15)."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import residua as python
from few import few_of
from residua.cli.train import resume as go_on
from residua.errors import CheckpointError, ConfigError, DataError
from residua.events import Event, Note
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run, resume
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.metadata_backup import restore_from_backup
from residua.runs.run import BACKUP, Run, check_run_path
from residua.weights.store import publish, read
from small import after, flip, never, rows, split_folder, weights

Spoil = Callable[[Run], object]
Half = Callable[[Path], Run]


@pytest.fixture(scope="module")
def half(trained: Callable[..., Run], short: Path) -> Half:
    """Trains that recipe until its second epoch."""
    return lambda path: trained(path, after(9), recipe=short)


def every_state(run: Run) -> None:
    for path in checkpoint.list_checkpoints(run.checkpoints):
        flip(path)


def newest_state(run: Run) -> None:
    flip(checkpoint.list_checkpoints(run.checkpoints)[0])


def no_state(run: Run) -> None:
    for path in checkpoint.list_checkpoints(run.checkpoints):
        path.unlink()


def temporary_files(run: Run) -> None:
    for folder in (run.path, run.checkpoints):
        (folder / ".half.4242.tmp").write_bytes(b"half")


def torn_metrics(run: Run) -> None:
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 99, "st')


def metrics_of_nuls(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    file.write_bytes(bytes(file.stat().st_size))


def no_metrics(run: Run) -> None:
    (run.path / "metrics.jsonl").unlink()


def no_checkpoints(run: Run) -> None:
    shutil.rmtree(run.checkpoints)


def clocks(run: Run) -> None:
    for age, path in enumerate(checkpoint.list_checkpoints(run.checkpoints)):
        os.utime(path, (86_400 * age, 86_400 * age))


SPOILS = (
    every_state,
    newest_state,
    no_state,
    no_checkpoints,
    temporary_files,
    torn_metrics,
    metrics_of_nuls,
    no_metrics,
    clocks,
)


FEW = (every_state, newest_state, torn_metrics, no_metrics, clocks)


@pytest.mark.parametrize("spoil", few_of(SPOILS, FEW))
def test_a_run_ends_as_one_that_nothing_disturbed_with(
    spoil: Spoil, half: Half, short_clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    assert not run.finished
    spoil(run)
    python.resume(run.path)
    assert weights(run) == weights(short_clean)
    assert rows(run) == rows(short_clean)
    assert run.finished
    assert (run.path / "report.html").exists()
    assert (run.path / BACKUP).exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_whose_states_are_all_damaged_says_that_it_begins_again(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    every_state(run)
    messages: list[Event] = []
    resume(run.path, listen=messages.append)
    assert isinstance(messages[0], Note)
    assert "can be used" in messages[0].text
    assert messages[0].text.endswith("first step")


def test_a_finished_run_makes_its_damaged_last_state_again(
    trained: Callable[..., Run], short: Path, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", recipe=short)
    whole = [path.read_bytes() for path in checkpoint.list_checkpoints(run.checkpoints)]
    for path in run.checkpoints.glob("*.safetensors"):
        if path not in checkpoint.list_checkpoints(run.checkpoints)[1:]:
            flip(path)
    messages: list[Event] = []
    resume(run.path, listen=messages.append)
    assert [path.read_bytes() for path in checkpoint.list_checkpoints(run.checkpoints)] == whole
    assert run.finished
    assert (
        sum(isinstance(event, Note) and "best.safetensors was lost" in event.text for event in messages) == 1
    )
    assert checkpoint.has_best_weights(run.checkpoints)
    messages.clear()
    resume(run.path, listen=messages.append)
    (message,) = messages
    assert isinstance(message, Note)
    for word in (str(run.path), "nothing to do"):
        assert word in message.text


def test_a_state_takes_the_place_of_weights_that_are_gone(
    photos: Path, short: Path, short_clean: Run, tmp_path: Path
) -> None:
    first = shutil.copy(
        checkpoint.list_checkpoints(short_clean.checkpoints)[0], tmp_path / "first.safetensors"
    )
    ended = []
    for name, stop in (("whole", never), ("half", after(9))):
        train_request = TrainRequest(str(photos), recipe=str(short), weights=first)
        prepared = prepare(train_request)
        ended.append(create_run(prepared, tmp_path / name))
        fit_run(ended[-1], prepared, stop=stop)
    Path(first).unlink()
    python.resume(ended[1].path)
    assert weights(ended[1]) == weights(ended[0]) != weights(short_clean)
    no_state(ended[1])
    (ended[1].path / "finished.json").unlink()
    with pytest.raises(CheckpointError, match=r"first\.safetensors does not exist"):
        python.resume(ended[1].path)


def test_examples_that_were_moved_are_asked_for_and_known_again(
    photos: Path, half: Half, short: Path, short_clean: Run, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(photos, here)
    prepared = prepare(TrainRequest(str(here), recipe=str(short)))
    run = create_run(prepared, tmp_path / "run")
    fit_run(run, prepared, stop=after(9))
    here.rename(there)
    with pytest.raises(DataError, match=rf"here.* does not exist: .*residua resume {run.path} --data DATA"):
        python.resume(run.path)
    other = split_folder(tmp_path / "other", train=4)
    with pytest.raises(DataError, match=r"other changed since .*digest"):
        python.resume(run.path, data=other)
    assert run.recipe.data.source == str(here)
    python.resume(run.path, data=there)
    assert weights(run) == weights(short_clean)
    assert run.recipe.data.source == str(there)


def test_a_budget_that_is_spent_is_told(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    file = run.path / "recipe.json"
    file.write_text(file.read_text().replace('"epochs": 4', '"epochs": 1'))
    with pytest.raises(ConfigError, match=r"made \d updates.* 4: .*budget"):
        python.resume(run.path)
    assert not run.finished


def test_a_run_that_a_later_residua_wrote_is_left_as_it_is(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    for path in checkpoint.list_checkpoints(run.checkpoints):
        tensors, facts = read(path)
        publish(path, tensors, {**facts, "format": checkpoint.FORMAT + 1})
    before = {path: path.read_bytes() for path in run.checkpoints.iterdir()}
    message = f"format {checkpoint.FORMAT + 1}, .* {checkpoint.FORMAT}: use the version"
    for work_with in (python.resume, python.load):
        with pytest.raises(CheckpointError, match=message):
            work_with(run.path)
    assert {path: path.read_bytes() for path in run.checkpoints.iterdir()} == before


def test_a_finished_run_without_a_report_gets_one(
    trained: Callable[..., Run], short: Path, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", recipe=short)
    whole = (run.path / "report.html").read_text()
    (run.path / "report.html").unlink()
    python.resume(run.path)
    assert (run.path / "report.html").read_text() == whole


@pytest.mark.parametrize("name", few_of(["torch", "processor", "device", "processes"], ["torch"]))
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
    with pytest.raises(
        ConfigError, match=f"{re.escape(line)}: .*not be bit-identical; give --force-environment"
    ):
        resume(run.path)
    messages: list[Event] = []
    resume(run.path, force_environment=True, listen=messages.append)
    assert isinstance(messages[0], Note)
    for words in (line, "not be bit-identical"):
        assert words in messages[0].text
    assert run.finished
    assert json.loads(file.read_text())["moves"] == [{"after_rows": 1, "moved": [line]}]


@pytest.mark.parametrize("damage", few_of(["lost", "torn", "of another kind"], ["torn"]))
def test_without_its_environment_a_run_goes_on_and_says_so(
    damage: str, half: Half, short_clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    file = run.path / "environment.json"
    whole = json.loads(file.read_text())
    if damage == "lost":
        file.unlink()
    else:
        file.write_text('{"residua": "0.' if damage == "torn" else "[1, 2]")
    messages: list[Event] = []
    resume(run.path, listen=messages.append)
    assert isinstance(messages[0], Note)
    assert messages[0].text.startswith(f"{file} was lost")
    assert weights(run) == weights(short_clean)
    assert json.loads(file.read_text()) == whole


@pytest.mark.parametrize("damage", few_of(["lost", "torn", "flipped"], ["torn"]))
@pytest.mark.parametrize("name", ["recipe.json", "data.json"])
def test_what_no_run_can_do_without_is_put_back(
    name: str, damage: str, half: Half, short_clean: Run, tmp_path: Path
) -> None:
    run = half(tmp_path / "run")
    file = run.path / name
    whole = file.read_text()
    if damage == "lost":
        file.unlink()
    else:
        file.write_text(whole[: len(whole) // 2] if damage == "torn" else whole.replace('"', "'", 1))
    messages: list[Event] = []
    resume(run.path, listen=messages.append)
    assert isinstance(messages[0], Note)
    for words in (str(file), "lost or damaged", "checkpoints/spare.json"):
        assert words in messages[0].text
    assert file.read_text() == whole
    assert weights(run) == weights(short_clean)


def test_a_recipe_that_was_edited_is_kept_and_a_damaged_spare_is_no_help(half: Half, tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    edited = (run.path / "recipe.json").read_text().replace('"seed": 0', '"seed": 1')
    (run.path / "recipe.json").write_text(edited)
    assert restore_from_backup(run.path) == []
    assert (run.path / "recipe.json").read_text() == edited
    flip(run.path / "checkpoints/spare.json")
    (run.path / "data.json").write_text("{")
    assert restore_from_backup(run.path) == []
    with pytest.raises(CheckpointError, match=r"data\.json is damaged"):
        resume(run.path)


def test_a_finished_run_is_not_written(
    trained: Callable[..., Run], short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "run", recipe=short)
    (run.path / BACKUP).unlink()

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(Run, "lock", refused)
    go_on(run.path, data=None, track=[], force_environment=False, processes=1)
    with pytest.raises(FileExistsError, match="choose another -o"):
        check_run_path(run.path)
