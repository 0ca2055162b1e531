"""`clean`, `apply` and `add`: planted label noise is found, a stopped clean resumes, no image changes."""

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
from residua.curate.actions import ACTIONS, CleanResult, CleanSplit, read_actions, suggest_actions
from residua.curate.add import add
from residua.curate.apply import apply
from residua.curate.clean import CleanRequest, clean
from residua.curate.clean_page import clean_page
from residua.curate.folds import FoldPredictions
from residua.data.images import Images
from residua.data.listing import split_listing
from residua.data.open import find, open_dataset
from residua.data.scan import scan
from residua.errors import ConfigError, DataError
from residua.jobs.compare import compare
from residua.jobs.python_training import train
from residua.jobs.train_request import TrainRequest
from small import after, file_of, never, photo_folder, recipe, weights

FLIPS = 0.3
"""Share of flipped labels: with fewer, a short training on a small dataset does not learn them."""


def quiet(
    request: CleanRequest, out: Path, *, stop: Callable[[], bool] = never, force: bool = False
) -> CleanResult | None:
    return clean(
        request, out, listen=lambda *_: None, stop=stop, progress=lambda _done, _total: None, force=force
    )


def done(request: CleanRequest, out: Path, *, force: bool = False) -> CleanResult:
    result = quiet(request, out, force=force)
    assert result is not None
    return result


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


@pytest.mark.battery
@pytest.mark.timeout(400)  # five trainings: a minute on an idle core
@pytest.mark.parametrize("is_trained", [False, True])
def test_flipped_labels_are_ranked_first_and_cleaning_improves_accuracy(
    is_trained: bool, tmp_path: Path
) -> None:
    """`is_trained`: a network learns from the labels before and after, too."""
    data = open_dataset("digits", val_fraction=0.2)
    files = write_digits(data.train, tmp_path / "images")
    draw = np.random.default_rng(0)
    flipped = draw.random(len(files)) < FLIPS
    labels = np.where(flipped, (data.train.labels + draw.integers(1, 10, len(files))) % 10, data.train.labels)
    rows = [f"images/{file.name},{label}" for file, label in zip(files, labels, strict=True)]
    (tmp_path / "dirty.csv").write_text("\n".join(["path,label", *rows]))
    before = content(tmp_path / "images")
    training = TrainRequest(str(tmp_path / "dirty.csv"), "cifar_resnet20", "quick.digits", epochs=4)
    cleaned = done(CleanRequest(training, folds=3), tmp_path / "clean")

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
    assert content(tmp_path / "images") == before
    if not is_trained:
        return
    runs = [
        train(
            str(tmp_path / f"{name}.csv"),
            "cifar_resnet20",  # large enough to learn the flipped labels, on every processor
            recipe="quick.digits",
            epochs=12,
            out=tmp_path / name,
        )
        for name in ("dirty", "manifest")
    ]
    (pair,) = compare(runs, data="digits")
    assert pair.comparison.difference.interval[0] > 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", count=12)


def request_for(
    source: Path, tmp_path: Path, *, folds: int = 3, run: Path | None = None, epochs: int = 3
) -> CleanRequest:
    file = file_of(recipe(), tmp_path / "recipe.json")
    return CleanRequest(TrainRequest(str(source), recipe=str(file), epochs=epochs), folds, run)


def test_a_wrong_label_a_duplicate_and_a_broken_file_are_each_found(
    look: Eyes, photos: Path, tmp_path: Path
) -> None:
    shutil.copy(photos / "red/04.png", photos / "blue/wrong.png")
    (photos / "red/04.png").unlink()
    shutil.copy(photos / "green/05.png", photos / "green/again.png")
    (photos / "red/broken.png").write_text("no image")
    before = content(photos)
    result = done(request_for(photos, tmp_path, epochs=20), tmp_path / "out")
    rows = {row.path: row for row in result.rows}
    assert (rows["blue/wrong.png"].action, rows["blue/wrong.png"].suggested) == ("relabel", "red")
    assert rows["red/broken.png"].action == "drop"
    assert rows["red/broken.png"].score is None
    assert {rows["green/05.png"].action, rows["green/again.png"].action} == {"keep", "drop"}
    assert sum(row.action != "keep" for row in result.rows) == 3
    assert content(photos) == before
    assert "keep" not in [row["action"] for row in table(tmp_path / "out/clean.csv")][:3]
    page = (tmp_path / "out/clean.html").read_text()
    assert "blue → red" in page
    assert 'src="http' not in page
    assert json.loads((tmp_path / "out/clean.json").read_text())["actions"] == result.action_counts()
    look(tmp_path / "out/clean.html")


@pytest.mark.parametrize(("right", "can_tell"), [(69, False), (84, False), (86, True)])
def test_a_weak_network_does_not_tell_how_many_labels_are_wrong(
    right: int, can_tell: bool, tmp_path: Path
) -> None:
    images = open_dataset(str(photo_folder(tmp_path / "photos", count=50)), val_fraction=0.2).train
    images = images.subset(np.arange(100))
    predictions = FoldPredictions.empty(100, 3)
    predicted = np.where(np.arange(100) < right, images.labels, (images.labels + 1) % 3)
    predictions.probabilities[:] = 0.05 + 0.85 * np.eye(3)[predicted]
    files = scan((images,), workers=0, progress=lambda *_: None)
    result = suggest_actions("photos", CleanSplit(images, 100, "val"), files, ([], []), predictions, ())
    assert result.accuracy == right
    assert (result.wrong_percent is not None) == can_tell
    assert ("cannot be told" in result.estimate) != can_tell
    assert (result.plain()["wrong_labels_percent"] is not None) == can_tell
    assert all((one["wrong_percent"] is not None) == can_tell for one in result.plain()["classes"])
    page = clean_page(result, tmp_path)
    assert ("wrong labels, estimated" in page) == can_tell
    assert result.estimate[1:] in page.replace("\N{NO-BREAK SPACE}", " ")


def test_a_stopped_clean_resumes_to_the_same_result(photos: Path, tmp_path: Path) -> None:
    request = request_for(photos, tmp_path)
    whole = done(request, tmp_path / "whole")
    for steps in (3, 14):  # within the first fold, and within the next
        assert quiet(request, tmp_path / "parts", stop=after(steps)) is None
        assert not (tmp_path / "parts/clean.csv").exists()
    parts = done(request, tmp_path / "parts")
    assert parts.rows == whole.rows
    for fold in ("fold-1", "fold-2", "fold-3"):
        assert weights(tmp_path / "parts/work" / fold) == weights(tmp_path / "whole/work" / fold)


def test_edits_are_not_overwritten_nor_another_clean_continued(photos: Path, tmp_path: Path) -> None:
    done(request_for(photos, tmp_path), tmp_path / "out")
    with pytest.raises(FileExistsError, match="your edits"):
        quiet(request_for(photos, tmp_path), tmp_path / "out")
    (tmp_path / "out/clean.csv").unlink()
    with pytest.raises(FileExistsError, match="another folds"):
        quiet(request_for(photos, tmp_path, folds=2), tmp_path / "out")
    assert len(done(request_for(photos, tmp_path, folds=2), tmp_path / "out", force=True).rows) == 36


def test_a_run_predicts_only_what_it_was_not_trained_on(photos: Path, tmp_path: Path) -> None:
    file = file_of(recipe(), tmp_path / "recipe.json")
    run = train(str(photos), recipe=str(file), out=tmp_path / "run")
    shutil.copy(photos / "red/04.png", photos.parent / "new.png")
    alone = done(request_for(photos, tmp_path, folds=0, run=run.path), tmp_path / "alone")
    held_out = {
        data.title(i) for data in [open_dataset(str(photos), val_fraction=0.2).test] for i in range(len(data))
    }
    assert {row.path for row in alone.rows if row.score is not None} == held_out
    assert any("not trained on" in note for note in alone.notes)
    both = done(request_for(photos, tmp_path, folds=2, run=run.path), tmp_path / "both")
    assert all(row.score is not None for row in both.rows)
    scores = {row.path: row.score for row in alone.rows if row.score is not None}
    assert scores == {row.path: row.score for row in both.rows if row.path in held_out}


def test_folds_that_predict_nothing_are_refused(photos: Path, tmp_path: Path) -> None:
    for folds in (0, 1, -2):
        with pytest.raises(ConfigError, match="give 2 or more"):
            request_for(photos, tmp_path, folds=folds)


def edit(file: Path, changes: dict[str, dict[str, str]]) -> None:
    rows = table(file)
    with file.open("w", newline="") as lines:
        out = csv.DictWriter(lines, rows[0].keys())
        out.writeheader()
        out.writerows([{**row, **changes.get(row["path"], {})} for row in rows])


def test_the_manifest_follows_the_edited_table(photos: Path, tmp_path: Path) -> None:
    done(request_for(photos, tmp_path), tmp_path / "out")
    split = open_dataset(str(photos), val_fraction=0.2)
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
    assert (applied.unchanged, applied.relabelled, applied.dropped, applied.new) == (33, 2, 1, 1)
    data = open_dataset(str(tmp_path / "photos.csv"), val_fraction=0.2)
    listed = {
        images.title(i): (images.classes[images.labels[i]], images.name)
        for images in (data.train, data.test)
        for i in range(len(images))
    }
    assert "photos/red/01.png" not in listed
    assert listed["photos/red/02.png"][0] == "blue"
    assert listed["photos/red/04.png"][0] == "green"
    validation = {f"photos/{split.test.title(i)}" for i in range(len(split.test))}
    assert {path for path, (_, name) in listed.items() if name == "val"} == validation - {"photos/red/01.png"}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"action": "delete"}, ConfigError, "'delete'.*relabel"),
        ({"action": "relabel", "suggested": ""}, ConfigError, "suggested.*needs a class"),
        ({"path": "red/gone.png"}, DataError, r"red/gone\.png"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    photos: Path, tmp_path: Path, change: dict[str, str], kind: type[Exception], message: str
) -> None:
    done(request_for(photos, tmp_path, folds=2), tmp_path / "out")
    edit(tmp_path / "out/clean.csv", {"red/01.png": change})
    with pytest.raises(kind, match=message):
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


def test_new_images_are_added_without_duplicates_or_broken_files(photos: Path, tmp_path: Path) -> None:
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
    old, new = (open_dataset(str(source), val_fraction=0.2) for source in (photos, tmp_path / "all.csv"))
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
    with pytest.raises(DataError, match="no class folders"):
        add(str(photos), str(more / "red"), tmp_path / "other.csv", workers=0)


def test_new_classes_need_the_option(photos: Path, tmp_path: Path) -> None:
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
    both = open_dataset(str(tmp_path / "all.csv"), val_fraction=0.2)
    assert both.train.classes == both.test.classes == ("blue", "green", "red", "teal")
    teal, red = (
        [np.count_nonzero(images.labels == label) for images in (both.train, both.test)] for label in (3, 2)
    )
    assert teal == [1, 1], "a new class has validation images, too"
    before = split_listing(find(str(photos)), val_fraction=0.2)
    assert red == [np.count_nonzero(before[0].labels == 2) + 2, np.count_nonzero(before[1].labels == 2)]
    (more / "teal/1.png").unlink()
    with pytest.raises(DataError, match="'teal' has 1 example"):
        add(str(photos), str(more), tmp_path / "again.csv", workers=0, new_classes=True)
