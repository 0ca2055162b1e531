"""The ten lines of Python that the interface promises."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import residua
from residua.data.open import open_dataset
from residua.errors import ConfigError, DataError
from residua.jobs.prepare import resolve
from residua.jobs.train import free_path
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.spec.changes import Changes
from small import PLAN, arch, file_of, photo_folder, recipe, rows, split_folder, weights

DIGITS: dict[str, Any] = {"plan.device": "cpu", "budget.batch_size": 64}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return residua.train(
        "digits",
        model="cifar_resnet20",
        changes=DIGITS | {"budget.steps": 60},
        out=tmp_path_factory.mktemp("digits") / "run",
    )


def test_names_are_listed_by_pattern() -> None:
    assert residua.list_models("cifar_resnet?0") == ["cifar_resnet20"]
    assert "resnet50" in residua.list_models()


def test_a_model_is_made_by_name_for_our_classes() -> None:
    model = residua.create_model("resnet18", num_classes=7, in_chans=1, shortcut="A")
    assert model.arch.classes == 7
    assert model.arch.channels == 1
    assert {block.shortcut for block in model.arch.blocks()} == {"Z"}


def test_training_returns_the_finished_run(digits: Run) -> None:
    assert isinstance(digits, residua.Run)
    assert digits.finished
    assert digits.recipe.budget.steps == 60
    assert digits.metrics[-1]["step"] == 60
    assert digits.metrics[-1]["train_error"] < 60
    assert (digits.path / "report.html").exists()


def test_evaluating_a_run_gives_the_score_that_training_ended_with(digits: Run) -> None:
    (score,) = residua.evaluate(digits)
    assert score.error == pytest.approx(digits.metrics[-1]["test_error"], abs=0.6)
    assert (score.n, score.split) == (len(open_dataset("digits", val_fraction=0.2).test), "test")
    assert residua.evaluate(digits.path, data="digits", views=["center"]) == [score]


def test_the_loaded_classifier_reads_digits_it_never_saw(digits: Run) -> None:
    (score,) = residua.evaluate(digits)
    test = open_dataset("digits", val_fraction=0.2).test
    classifier = residua.load(digits.path)
    assert test.pixels is not None
    predictions = classifier.many(test.pixels[:, :, :, 0])
    right = np.mean([int(a.top()[0][0]) == label for a, label in zip(predictions, test.labels, strict=True)])
    assert 100 * right == pytest.approx(score.top1, abs=0.6)


def test_a_finished_run_is_resumed_without_a_change(digits: Run) -> None:
    before = weights(digits), digits.metrics
    events: list[object] = []
    assert residua.resume(digits.path, callback=events.append) == digits
    assert (weights(digits), digits.metrics) == before
    assert len(events) == 1


def test_an_unknown_view_names_those_that_there_are(digits: Run) -> None:
    with pytest.raises(ConfigError, match=r"'centre'.*center"):
        residua.evaluate(digits, views=["centre"])


def test_a_file_alone_does_not_say_what_to_judge_it_by(digits: Run) -> None:
    with pytest.raises(ConfigError, match="give --data"):
        residua.evaluate(checkpoint.list_checkpoints(digits.checkpoints)[0])


def test_a_resolved_recipe_trains_the_same_again(digits: Run, tmp_path: Path) -> None:
    again = residua.train("digits", recipe=str(digits.path / "recipe.json"), out=tmp_path / "again")
    assert again.recipe == digits.recipe
    assert weights(again) == weights(digits)
    assert rows(again) == rows(digits)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos")


def small_run(source: Path, out: Path, **changes: Any) -> Run:
    file = file_of(recipe("", arch=arch()), out.parent / "recipe.json")
    return residua.train(source, recipe=str(file), out=out, changes=changes)


def test_any_weights_of_a_run_can_be_judged_and_the_score_says_which(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run", **{"average.ema_decay": 0.9})
    for choice, expected in (("auto", "ema"), ("raw", "raw"), ("ema", "ema"), ("best", "best")):
        (score,) = residua.evaluate(run, weights=choice)
        assert score.weights == expected
    with pytest.raises(ConfigError, match=r"'bets'.*best"):
        residua.evaluate(run, weights="bets")


def test_a_folder_brings_its_classes_by_name(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run")
    assert residua.load(run.path).classes == ("blue", "green", "red")
    assert run.recipe.plan == replace(PLAN, compile="off", graphs="off")
    assert Path(run.recipe.data.source).is_absolute()
    (score,) = residua.evaluate(run)
    assert score.n == 6
    assert score.top1 > 60


def test_images_that_changed_since_the_run_began_are_refused(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run")
    (run.path / "finished.json").unlink()
    (photos / "red" / "00.jpg").rename(photos / "red" / "99.jpg")
    with pytest.raises(DataError, match=r"changed since .* began \(digest\)"):
        residua.resume(run.path)


@pytest.mark.parametrize("rename", [False, True], ids=["added", "renamed"])
def test_a_class_that_came_after_training_is_not_taken_for_another(
    rename: bool, photos: Path, tmp_path: Path
) -> None:
    run = small_run(photos, tmp_path / "run")
    shutil.copytree(photos / "green", photos / "aardvark")
    if rename:
        shutil.rmtree(photos / "green")
    with pytest.raises(DataError, match="aardvark"):
        residua.evaluate(run)


def test_fewer_classes_than_were_trained_are_judged_by_name(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run")
    some = photo_folder(tmp_path / "some", colours=["red", "green"], count=6)
    (score,) = residua.evaluate(run, data=some)
    classifier = residua.load(run.path)
    right = [classifier(file).top()[0][0] == file.parent.name for file in sorted(some.glob("*/*"))]
    assert score.n == 12
    assert score.top1 == pytest.approx(100 * np.mean(right))


def test_a_val_folder_is_what_a_run_is_judged_by(tmp_path: Path) -> None:
    run = small_run(split_folder(tmp_path / "photos"), tmp_path / "run")
    (score,) = residua.evaluate(run)
    assert (score.n, score.split) == (12, "val")


def test_weights_of_a_run_start_another_with_other_classes(photos: Path, tmp_path: Path) -> None:
    first = small_run(photos, tmp_path / "first")
    two = photo_folder(tmp_path / "two", colours=["red", "green"])
    file = str(file_of(recipe("", arch=arch()), tmp_path / "recipe.json"))
    second = residua.train(
        two, recipe=file, weights=checkpoint.list_checkpoints(first.checkpoints)[0], out=tmp_path / "second"
    )
    assert residua.load(second.path).classes == ("green", "red")
    assert Path(second.recipe.weights).is_absolute()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("optim.rat", 0.1, r"optim\.rat.*optim\.lr"),
        ("optim.lr", "fast", r"optim\.lr.*'fast'.*number"),
        ("schedule.shape", "cosin", r"'cosin'.*cosine"),
        ("arch.classes", 9, r"arch\.classes.* 3"),
        ("budget.batch_size", 1, r"batch_size is 1: give 2\b"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    path: str, value: object, message: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        small_run(photos, tmp_path / "run", **{path: value})
    assert not (tmp_path / "run").exists()


def test_runs_are_called_after_their_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_path("cifar10:somewhere") == Path("runs/cifar10-1")
    assert free_path("/data/photos/") == Path("runs/photos-1")
    (tmp_path / "runs/photos-1").mkdir(parents=True)
    assert free_path("photos") == Path("runs/photos-2")


def test_a_run_killed_before_it_knew_its_images_is_explained(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run")
    (run.path / "finished.json").unlink()
    (run.path / "data.json").unlink()
    (run.path / "checkpoints/spare.json").unlink()
    with pytest.raises(ConfigError, match=r"no data\.json"):
        residua.resume(run.path)


def test_a_run_killed_before_its_report_gets_it_when_resumed(photos: Path, tmp_path: Path) -> None:
    run = small_run(photos, tmp_path / "run")
    (run.path / "report.html").unlink()
    residua.resume(run.path)
    assert (run.path / "report.html").exists()


@pytest.mark.parametrize("clip", [{"frames": 4}, {"segments": 2}])
def test_images_are_refused_by_networks_that_read_clips(clip: Changes) -> None:
    with pytest.raises(ConfigError, match=r"clips.*images.*video:DIR"):
        resolve(TrainRequest("digits", "cifar_resnet20", model_changes=clip))
