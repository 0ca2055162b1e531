"""What is decided before the first step, beyond what other jobs' tests see."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import residua
from residua.data import mean_image
from residua.data.eval_view import eval_view as seen_view
from residua.data.open import open_dataset
from residua.errors import ConfigError
from residua.events import Activity, Event, PlanLine
from residua.jobs import prepare
from residua.jobs.prepare import resolve
from residua.jobs.train import free_path, resume
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.training import plan
from residua.training.plan import PlanChoice
from small import Budget, arch, file_of, recipe, rows, split_folder

SUBTRACT = {"data.subtract": "pixel"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("prepare") / "photos")


@pytest.fixture(scope="module")
def centred(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    recipe_file = file_of(
        recipe("", arch=arch(), budget=Budget(epochs=2, batch_size=6)), folder / "recipe.json"
    )
    return residua.train(photos, recipe=str(recipe_file), changes=SUBTRACT, out=folder / "run")


def test_the_mean_image_is_the_mean_of_the_training_images(photos: Path, centred: Run) -> None:
    images, preprocess = open_dataset(str(photos), val_fraction=0.2).train, centred.recipe.arch.preprocess
    every = [seen_view(images.image(i, "rgb"), preprocess) for i in range(len(images))]
    mean_levels = np.frombuffer(preprocess.levels, np.uint8).reshape(3, 12, 12)
    np.testing.assert_allclose(mean_levels, np.mean(every, 0), atol=0.5)


def test_of_many_files_a_share_is_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_dataset(str(photos), val_fraction=0.2).train
    monkeypatch.setattr(mean_image, "MAX_IMAGES", 8)
    preprocess = replace(
        arch().preprocess, mean_image=mean_image.compute_mean_image(images, arch().preprocess)
    )
    every = [seen_view(images.image(i, "rgb"), preprocess) for i in range(0, 24, 3)]
    mean_levels = np.frombuffer(preprocess.levels, np.uint8).reshape(3, 12, 12)
    np.testing.assert_allclose(mean_levels, np.mean(every, 0), atol=0.5)


def test_a_mean_image_goes_wherever_weights_go(photos: Path, centred: Run, tmp_path: Path) -> None:
    preprocess = centred.recipe.arch.preprocess
    state = checkpoint.load_weights(checkpoint.list_checkpoints(centred.checkpoints)[0], "auto")[0]
    residua.save(residua.load(centred.path).network, tmp_path / "saved")
    saved = residua.load(tmp_path / "saved").network
    assert state.preprocess == saved.preprocess == preprocess
    picture = next((photos / "val/red").iterdir())
    plain = replace(preprocess, mean_image="")
    mine, theirs = residua.load(centred.path), residua.load(tmp_path / "saved")
    before = mine(picture).top(3)
    assert before == theirs(picture).top(3)
    mine.network.preprocess = plain
    assert mine(picture).top(3) != before


def test_a_run_with_a_mean_image_goes_on_bit_for_bit(photos: Path, centred: Run, tmp_path: Path) -> None:
    file = file_of(centred.recipe, tmp_path / "recipe.json")
    parts = residua.train(photos, recipe=str(file), epochs=2, out=tmp_path / "parts")
    (parts.path / "finished.json").unlink()
    newest, older = checkpoint.list_checkpoints(parts.checkpoints)
    newest.unlink()
    resume(parts.path)
    assert rows(parts) == rows(centred)
    assert older.name < newest.name


def test_a_recipe_of_another_run_takes_the_mean_anew(centred: Run, tmp_path: Path) -> None:
    other = split_folder(tmp_path / "other", train=5)
    file = file_of(centred.recipe, tmp_path / "recipe.json")
    same, _ = resolve(TrainRequest(str(other), recipe=str(file)))
    assert same.arch.preprocess.mean_image not in ("", centred.recipe.arch.preprocess.mean_image)
    plain, _ = resolve(TrainRequest(str(other), recipe=str(file), changes=(("data.subtract", "channel"),)))
    assert plain.arch.preprocess.mean_image == ""


def test_without_a_wish_channels_are_standardised(photos: Path) -> None:
    decided, _ = resolve(TrainRequest(str(photos), model="cifar_resnet20"))
    assert decided.data.subtract == "channel"
    assert not decided.arch.preprocess.mean_image


def test_no_batch_is_measured_that_no_epoch_has(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def choose(*args: object, batch: int, **more: object) -> PlanChoice:
        batches.append(batch)
        return plan.choose_plan(*args, batch=batch, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "plan", SimpleNamespace(choose_plan=choose))
    request = TrainRequest(
        str(photos), model="cifar_resnet20", changes=(("budget.batch_size", "100000"), ("budget.steps", "1"))
    )
    prepared = prepare.prepare(request)
    assert batches == [len(prepared.dataset.train)]
    assert prepared.recipe.budget.batch_size == 100_000


def test_the_plan_of_a_run_with_minutes_counts_on_no_more_time(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def choose(*args: object, max_seconds: float, **more: object) -> PlanChoice:
        limits.append(max_seconds)
        return plan.choose_plan(*args, max_seconds=max_seconds, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "plan", SimpleNamespace(choose_plan=choose))
    prepare.prepare(TrainRequest(str(photos), model="cifar_resnet20", minutes=0.01))
    assert limits == [0.6]


@pytest.mark.parametrize(("lr", "is_high"), [("0.05", True), ("0.001", False)])
def test_a_learning_rate_of_sgd_is_high_for_adamw(photos: Path, lr: str, is_high: bool) -> None:
    changes = (("optim.kind", "adamw"), ("optim.nesterov", "false"), ("optim.lr", lr))
    notes = prepare.prepare(
        TrainRequest(str(photos), model="cifar_resnet20", epochs=1, changes=changes)
    ).notes
    assert any("--lr 0.001" in line for line in notes) == is_high


@pytest.mark.parametrize("turn", [1, -1])
def test_settings_that_suit_each_other_come_in_any_order(photos: Path, turn: int) -> None:
    both = (("optim.kind", "adamw"), ("optim.nesterov", "false"))[::turn]
    decided, _ = resolve(TrainRequest(str(photos), model="cifar_resnet20", changes=both))
    assert (decided.optim.kind, decided.optim.nesterov) == ("adamw", False)
    with pytest.raises(ConfigError, match=r"add --set optim\.nesterov=false"):
        resolve(TrainRequest(str(photos), model="cifar_resnet20", changes=(("optim.kind", "adamw"),)))


def test_each_line_is_told_as_soon_as_it_is_known(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data and the network before anything is measured, which is announced."""
    events: list[Event] = []

    def choose(*args: object, announce: Callable[[str], None], **more: object) -> PlanChoice:
        told = [event.text[:7].strip() for event in events if isinstance(event, PlanLine)]
        assert told == ["data", "model", "input", "recipe"]
        announce("timing formats, at most 6 s")
        assert events[-1] == Activity("timing formats, at most 6 s")
        return plan.choose_plan(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "plan", SimpleNamespace(choose_plan=choose))
    request = TrainRequest(str(photos), model="cifar_resnet20", epochs=1)
    prepared = prepare.prepare(request, listen=events.append)
    assert events[0] == Activity(f"reading {photos}")
    assert prepared.notes == tuple(event.text for event in events if isinstance(event, PlanLine))


def test_a_link_to_data_keeps_its_own_name(photos: Path, tmp_path: Path) -> None:
    (link := tmp_path / "flowers").symlink_to(photos)
    assert free_path(str(link)).name == "flowers-1"
    assert free_path(f"{link}/").name == "flowers-1"
    assert free_path(f"{link}/train/..").name == "flowers-1"
