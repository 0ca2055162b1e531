"""`clean`, `apply` and `add`: planted truth is found, a stopped clean goes on, and no file is touched."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import average_precision_score

from eyes import Eyes
from residua.curate.actions import ACTIONS, Cleaned, read_actions
from residua.curate.add import add
from residua.curate.apply import apply
from residua.curate.clean import CleanRequest, clean
from residua.data.images import Images
from residua.data.listing import parted
from residua.data.sources.table import find, open_dataset
from residua.errors import DataError
from residua.jobs.compare import compare
from residua.jobs.prepare import TrainRequest
from residua.jobs.train import train
from small import after, file_of, never, photo_folder, recipe, weights

FLIPS = 0.3
"""So many that twelve epochs on the flipped digits learn them, too: a small set shows it no other way."""


def quiet(
    asked: CleanRequest, out: Path, *, stop: Callable[[], bool] = never, force: bool = False
) -> Cleaned | None:
    return clean(
        asked, out, hear=lambda _: lambda _: None, stop=stop, tell=lambda _done, _total: None, force=force
    )


def done(asked: CleanRequest, out: Path, *, force: bool = False) -> Cleaned:
    found = quiet(asked, out, force=force)
    assert found is not None
    return found


def write_digits(images: Images, folder: Path) -> list[Path]:
    files = []
    for i in range(len(images)):
        item = images.item(i)
        assert isinstance(item, Image.Image)
        files.append(folder / f"{images.name}-{i:04}.png")
        folder.mkdir(exist_ok=True)
        item.save(files[-1])
    return files


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def content(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*.*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_planted_flips_are_ranked_first_and_cleaning_them_is_worth_it(tmp_path: Path) -> None:
    data = open_dataset("digits", holdout=0.2)
    files = write_digits(data.train, tmp_path / "images")
    draw = np.random.default_rng(0)
    flipped = draw.random(len(files)) < FLIPS
    labels = np.where(flipped, (data.train.labels + draw.integers(1, 10, len(files))) % 10, data.train.labels)
    rows = [f"images/{file.name},{label}" for file, label in zip(files, labels, strict=True)]
    (tmp_path / "dirty.csv").write_text("\n".join(["path,label", *rows]))
    before = content(tmp_path / "images")
    wish = TrainRequest(str(tmp_path / "dirty.csv"), "cifar_resnet20", "quick.digits", epochs=4)
    cleaned = done(CleanRequest(wish, folds=3), tmp_path / "clean")

    place = {f"images/{file.name}": k for k, file in enumerate(files)}
    scores = {place[row.path]: row.score for row in cleaned.rows}
    wrong = [-(scores[k] or 0.0) for k in range(len(files))]
    assert average_precision_score(flipped, wrong) >= 0.9
    assert cleaned.confidence is not None
    assert cleaned.confidence.wrong_share == pytest.approx(flipped.mean(), abs=0.1)

    applied = apply(tmp_path / "clean/clean.csv", tmp_path / "manifest.csv")
    moved = [row for row in cleaned.rows if row.action == "relabel"]
    right = sum(row.suggested == str(data.train.labels[place[row.path]]) for row in moved)
    assert applied.relabelled == len(moved) > 0.5 * flipped.sum()
    assert right > 0.85 * len(moved)
    runs = [
        train(
            str(tmp_path / f"{name}.csv"),
            "smallconvnet",
            recipe="quick.digits",
            epochs=10,
            out=tmp_path / name,
        )
        for name in ("dirty", "manifest")
    ]
    (pair,) = compare(runs, data="digits")
    assert pair.comparison.difference.interval[0] > 0
    assert content(tmp_path / "images") == before


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", count=12)


def asked_of(
    source: Path, tmp_path: Path, *, folds: int = 3, run: Path | None = None, epochs: int = 3
) -> CleanRequest:
    made = file_of(recipe(), tmp_path / "recipe.json")
    return CleanRequest(TrainRequest(str(source), recipe=str(made), epochs=epochs), folds, run)


def test_a_wrong_label_a_copy_a_leak_and_a_broken_file_are_each_found(
    look: Eyes, photos: Path, tmp_path: Path
) -> None:
    shutil.copy(photos / "red/04.png", photos / "blue/wrong.png")
    (photos / "red/04.png").unlink()
    shutil.copy(photos / "green/05.png", photos / "green/again.png")
    (photos / "red/broken.png").write_text("no image")
    before = content(photos)
    found = done(asked_of(photos, tmp_path, epochs=20), tmp_path / "out")
    rows = {row.path: row for row in found.rows}
    assert (rows["blue/wrong.png"].action, rows["blue/wrong.png"].suggested) == ("relabel", "red")
    assert rows["red/broken.png"].action == "drop"
    assert rows["red/broken.png"].score is None
    assert {rows["green/05.png"].action, rows["green/again.png"].action} == {"keep", "drop"}
    assert sum(row.action != "keep" for row in found.rows) == 3
    assert content(photos) == before
    assert "keep" not in [row["action"] for row in table(tmp_path / "out/clean.csv")][:3]
    page = (tmp_path / "out/clean.html").read_text()
    assert "blue → red" in page
    assert 'src="http' not in page
    assert json.loads((tmp_path / "out/clean.json").read_text())["actions"] == found.counts()
    look(tmp_path / "out/clean.html")


def test_a_stopped_clean_goes_on_and_ends_as_if_it_had_not_been(photos: Path, tmp_path: Path) -> None:
    asked = asked_of(photos, tmp_path)
    whole = done(asked, tmp_path / "whole")
    for asks in (3, 14):  # within the first fold, and within the next
        assert quiet(asked, tmp_path / "parts", stop=after(asks)) is None
        assert not (tmp_path / "parts/clean.csv").exists()
    parts = done(asked, tmp_path / "parts")
    assert parts.rows == whole.rows
    for fold in ("fold-1", "fold-2", "fold-3"):
        assert weights(tmp_path / "parts/work" / fold) == weights(tmp_path / "whole/work" / fold)


def test_edits_are_not_overwritten_nor_another_clean_continued(photos: Path, tmp_path: Path) -> None:
    done(asked_of(photos, tmp_path), tmp_path / "out")
    with pytest.raises(FileExistsError, match="your edits"):
        quiet(asked_of(photos, tmp_path), tmp_path / "out")
    (tmp_path / "out/clean.csv").unlink()
    with pytest.raises(FileExistsError, match="another folds"):
        quiet(asked_of(photos, tmp_path, folds=2), tmp_path / "out")
    assert len(done(asked_of(photos, tmp_path, folds=2), tmp_path / "out", force=True).rows) == 36


def test_a_run_is_asked_only_about_what_it_did_not_train_on(photos: Path, tmp_path: Path) -> None:
    made = file_of(recipe(), tmp_path / "recipe.json")
    run = train(str(photos), recipe=str(made), out=tmp_path / "run")
    shutil.copy(photos / "red/04.png", photos.parent / "new.png")
    alone = done(asked_of(photos, tmp_path, folds=0, run=run.path), tmp_path / "alone")
    held_out = {
        data.title(i) for data in [open_dataset(str(photos), holdout=0.2).test] for i in range(len(data))
    }
    assert {row.path for row in alone.rows if row.score is not None} == held_out
    assert any("did not train on them" in line for line in alone.how)
    both = done(asked_of(photos, tmp_path, folds=2, run=run.path), tmp_path / "both")
    assert all(row.score is not None for row in both.rows)
    scores = {row.path: row.score for row in alone.rows if row.score is not None}
    assert scores == {row.path: row.score for row in both.rows if row.path in held_out}


def test_folds_that_judge_nothing_are_refused(photos: Path, tmp_path: Path) -> None:
    for folds in (0, 1, -2):
        with pytest.raises(ValueError, match="give 2 or more"):
            asked_of(photos, tmp_path, folds=folds)


def edit(file: Path, changes: dict[str, dict[str, str]]) -> None:
    rows = table(file)
    with file.open("w", newline="") as lines:
        out = csv.DictWriter(lines, rows[0].keys())
        out.writeheader()
        out.writerows([{**row, **changes.get(row["path"], {})} for row in rows])


def test_what_a_person_edits_is_what_the_manifest_says(photos: Path, tmp_path: Path) -> None:
    done(asked_of(photos, tmp_path), tmp_path / "out")
    split = open_dataset(str(photos), holdout=0.2)
    edited = tmp_path / "out/clean.csv"
    edit(
        edited,
        {
            "red/01.png": {"action": "drop"},
            "red/02.png": {"action": "Relabel", "suggested": "blue"},
            "red/04.png": {"action": "keep", "label": "green"},
        },
    )
    shutil.copy(photos / "red/05.png", photos / "red/later.png")
    applied = apply(edited, tmp_path / "photos.csv")
    assert (applied.kept, applied.relabelled, applied.dropped, applied.new) == (33, 2, 1, 1)
    data = open_dataset(str(tmp_path / "photos.csv"), holdout=0.2)
    said = {
        images.title(i): (images.classes[images.labels[i]], images.name)
        for images in (data.train, data.test)
        for i in range(len(images))
    }
    assert "photos/red/01.png" not in said
    assert said["photos/red/02.png"][0] == "blue"
    assert said["photos/red/04.png"][0] == "green"
    judged = {f"photos/{split.test.title(i)}" for i in range(len(split.test))}
    assert {path for path, (_, name) in said.items() if name == "val"} == judged - {"photos/red/01.png"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "delete"}, "give keep, relabel or drop"),
        ({"action": "relabel", "suggested": ""}, "needs a class"),
        ({"path": "red/gone.png"}, "lacks"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(
    photos: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    done(asked_of(photos, tmp_path, folds=2), tmp_path / "out")
    edit(tmp_path / "out/clean.csv", {"red/01.png": change})
    with pytest.raises((ValueError, DataError), match=said):
        apply(tmp_path / "out/clean.csv", tmp_path / "photos.csv")
    assert not (tmp_path / "photos.csv").exists()


CELLS = st.sampled_from(
    ["path", "label", "suggested", "action", "keep", "drop", "a.png", ",", ";", "\n", '"', "\r"]
)


@given(st.lists(CELLS | st.text(max_size=3), max_size=40).map("".join))
@example("path," + "x" * 200_000)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_refused(tmp_path: Path, text: str) -> None:
    for head in ("", "path,label,suggested,score,reason,action\n"):
        (tmp_path / "clean.csv").write_text(head + text, "utf-8", "replace", newline="")
        with suppress(ValueError):
            read_actions(tmp_path / "clean.csv")


def test_every_action_is_a_word_of_the_table() -> None:
    assert set(ACTIONS) == {"keep", "relabel", "drop"}


def test_new_images_come_beside_old_ones_without_copies_or_broken_files(photos: Path, tmp_path: Path) -> None:
    more = photo_folder(tmp_path / "more", count=14, colours=("red",))
    for file in sorted((more / "red").iterdir())[:-2]:
        file.unlink()  # the first twelve are those of `photos`
    shutil.copy(photos / "blue/01.png", more / "red/copy.png")
    shutil.copy(photos / "red/01.png", more / "red/same.png")
    (more / "red/broken.jpg").write_text("no image")
    (more / "blue").mkdir()
    Image.fromarray(np.full((12, 12, 3), (20, 50, 250), np.uint8)).save(more / "blue/flat.png")
    before = content(tmp_path)
    added = add(str(photos), str(more), tmp_path / "all.csv", workers=0)
    assert {(one.path, one.kind) for one in added.left_out} == {
        ("red/copy.png", "conflict"),
        ("red/same.png", "duplicate"),
        ("red/broken.jpg", "unreadable"),
    }
    assert (added.old, added.new) == (36, 3)
    old, new = (open_dataset(str(source), holdout=0.2) for source in (photos, tmp_path / "all.csv"))
    assert len(new.train) == len(old.train) + 3
    assert [f"photos/{old.test.title(i)}" for i in range(len(old.test))] == [
        new.test.title(i) for i in range(len(new.test))
    ]
    (tmp_path / "all.csv").unlink()
    assert content(tmp_path) == before


def test_new_images_of_one_class_need_no_second_and_loose_ones_have_none(
    photos: Path, tmp_path: Path
) -> None:
    more = photo_folder(tmp_path / "more", count=14, colours=("red",))
    added = add(str(photos), str(more), tmp_path / "all.csv", workers=0)
    assert (added.new, len(added.left_out)) == (2, 12)  # the first twelve are those of `photos`
    with pytest.raises(DataError, match="holds no class folders: give the folder above"):
        add(str(photos), str(more / "red"), tmp_path / "other.csv", workers=0)


def test_unknown_classes_come_only_when_asked_for(photos: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    for name in ("red", "teal"):
        (more / name).mkdir(parents=True)
        for k in range(2):
            pixels = np.random.default_rng([k, len(name)]).integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(more / name / f"{k}.png")
    with pytest.raises(DataError, match="class 'teal', which"):
        add(str(photos), str(more), tmp_path / "all.csv", workers=0)
    added = add(str(photos), str(more), tmp_path / "all.csv", workers=0, new_classes=True)
    assert added.classes == ("teal",)
    both = open_dataset(str(tmp_path / "all.csv"), holdout=0.2)
    assert both.train.classes == both.test.classes == ("blue", "green", "red", "teal")
    teal, red = (
        [np.count_nonzero(images.labels == label) for images in (both.train, both.test)] for label in (3, 2)
    )
    assert teal == [1, 1], "a new class is judged, too"
    before = parted(find(str(photos)), holdout=0.2)
    assert red == [np.count_nonzero(before[0].labels == 2) + 2, np.count_nonzero(before[1].labels == 2)]
    (more / "teal/1.png").unlink()
    with pytest.raises(
        DataError, match="class 'teal' has 1 example, and needs one to train and one to judge"
    ):
        add(str(photos), str(more), tmp_path / "again.csv", workers=0, new_classes=True)
