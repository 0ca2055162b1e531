"""What cannot be read is left out by one scan, by policy, and stays out; what changed since is noticed."""

import csv
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

import residua
from ranks import together
from residua.errors import DataError
from residua.jobs.train import start_or_join
from residua.jobs.train_request import TrainRequest
from residua.spec.recipe import Data
from residua.tasks.classify import data_task
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import open_readable
from residua.training.processes.world import World
from small import arch, file_of, photo_folder, recipe, rows, split_folder, weights

BAD = {"train/blue/01.png": "text", "train/red/02.png": "", "val/green/01.png": "text"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two splits, three of whose files are no images; one is cut, which its header does not tell."""
    root = split_folder(tmp_path / "photos", train=12, val=6)
    for name, text in BAD.items():
        (root / name).write_text(text)
    cut = root / "train/green/00.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    return root


def train(photos: Path, out: Path, **changes: object) -> residua.Run:
    recipe_path = file_of(recipe(str(photos), arch=arch()), out.with_suffix(".json"))
    return residua.train(photos, recipe=str(recipe_path), out=out, changes={"data.bad": "skip", **changes})


def digest(root: Path) -> str:
    hasher = hashlib.sha256()
    for file in sorted(root.rglob("*.*")):
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


LEFT_OUT = {*BAD, "train/green/00.jpg"}


def test_by_default_a_run_does_not_begin(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 36 files .*residua data check"):
        train(photos, tmp_path / "run", **{"data.bad": "error"})
    assert not (tmp_path / "run").exists()


def test_skipped_files_are_named_counted_and_recorded(photos: Path, tmp_path: Path) -> None:
    before = digest(photos)
    run = train(photos, tmp_path / "run")
    known = json.loads((run.path / "data.json").read_text())
    assert set(known["unreadable"]) == LEFT_OUT
    assert (known["train"], known["test"]) == (33, 17)
    assert "truncated" in known["unreadable"]["train/green/00.jpg"]
    assert residua.evaluate(run)[0].n == 17
    assert digest(photos) == before
    assert not (run.path / "quarantine.csv").exists()


def test_a_quarantine_is_a_list_and_moves_nothing(photos: Path, tmp_path: Path) -> None:
    before = digest(photos)
    run = train(photos, tmp_path / "run", **{"data.bad": "quarantine"})
    with (run.path / "quarantine.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert {row["path"] for row in listed} == LEFT_OUT
    assert all(row["reason"] for row in listed)
    assert digest(photos) == before


def test_the_same_are_left_out_at_every_resume_whatever_they_are_by_then(
    photos: Path, tmp_path: Path
) -> None:
    whole = train(photos, tmp_path / "whole", **{"budget.epochs": 2})
    half = train(photos, tmp_path / "half", **{"budget.epochs": 2, "budget.save_seconds": 0})
    (half.path / "finished.json").unlink()
    (half.path / "report.html").unlink()
    for file in sorted(half.checkpoints.iterdir(), reverse=True)[:1]:
        file.unlink()
    (photos / "train/blue/01.png").write_bytes((photos / "train/blue/02.png").read_bytes())  # repaired
    residua.resume(half.path)
    assert weights(half) == weights(whole)
    assert rows(half) == rows(whole)


def test_of_several_processes_one_looks_and_all_leave_out_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_path, scan = file_of(recipe(str(photos), arch=arch()), tmp_path / "recipe.json"), data_task.scan

    def counted(*splits: object, **how: object) -> object:
        (tmp_path / f"looked-{os.environ['RANK']}").touch(exist_ok=False)
        return scan(*splits, **how)  # type: ignore[arg-type]

    def begin(world: World) -> None:
        request = TrainRequest(str(photos), recipe=str(recipe_path), changes=(("data.bad", "skip"),))
        train = start_or_join(request, tmp_path / "run", world=world)[1].dataset.train
        titles = "\n".join(train.title(i) for i in range(len(train)))
        (tmp_path / f"learns-{world.rank}").write_text(titles)

    monkeypatch.setattr(data_task, "scan", counted)
    together(2, begin)
    assert [file.name for file in tmp_path.glob("looked-*")] == ["looked-0"]
    learned = [(tmp_path / f"learns-{rank}").read_text() for rank in (0, 1)]
    assert learned[0] == learned[1]
    assert not LEFT_OUT & set(learned[0].splitlines())


def test_the_split_of_the_others_does_not_move(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=10)
    everything, none = open_readable(ClassifyData(), Data(str(root)))
    assert none == {}
    (root / "blue" / "01.png").write_text("text")
    left, bad = open_readable(ClassifyData(), Data(str(root), bad="skip"))
    assert set(bad) == {"blue/01.png"}

    def titles(images: object) -> set[str]:
        return {images.title(i) for i in range(len(images))}  # type: ignore[attr-defined,arg-type]

    assert titles(left.train) == titles(everything.train) - set(bad)
    assert titles(left.test) == titles(everything.test) - set(bad)
    assert re.search(r"1 unreadable .*blue/01\.png", left.note)


def test_a_class_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=4)
    for file in (root / "blue").iterdir():
        file.write_text("text")
    with pytest.raises(DataError, match=r"'blue' .*image of train"):
        open_readable(ClassifyData(), Data(str(root), bad="skip"))


def test_a_file_that_breaks_after_the_scan_ends_the_run_by_name(photos: Path, tmp_path: Path) -> None:
    run = train(photos, tmp_path / "run")
    (run.path / "finished.json").unlink()
    (photos / "val/red/01.png").write_text("text")
    with pytest.raises(DataError, match=r"val/red/01\.png is not an image"):
        residua.evaluate(run)


def test_evaluation_never_uses_another_split(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=10)
    recipe_path = file_of(recipe(str(root), arch=arch()), tmp_path / "recipe.json")
    run = residua.train(root, recipe=str(recipe_path), epochs=1, out=tmp_path / "run")
    assert residua.evaluate(run)[0].n == 6
    (root / "red" / "new.png").write_bytes((root / "red" / "01.png").read_bytes())
    with pytest.raises(DataError, match=r"changed .*digest.*put it back"):
        residua.evaluate(run)
