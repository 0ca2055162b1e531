"""Resuming equals never having been interrupted, to the last bit (reliability P2, F16)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from few import few_of
from residua.data.images import ImageDataset
from residua.data.loader import StoppedWhileWaiting
from residua.data.open import open_dataset
from residua.errors import CheckpointError, DivergedError
from residua.events import EpochRow, Note, StepProgress, Stopped
from residua.runs import checkpoint
from residua.runs.run import Run, create
from residua.spec import zoo
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Data, Optim, Plan, Recipe, Schedule
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training.network import initial_network
from small import (
    PIXELS,
    after,
    arch,
    colours,
    convnet,
    flip,
    fresh,
    go,
    photo_folder,
    recipe,
    rows,
    weights,
)

EACH, TOTAL, EPOCHS = 4, 12, 3
ASKS = TOTAL + EPOCHS
"""`stop()` is asked after every step, and once for the one test batch of every epoch."""


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return colours()


@pytest.fixture(scope="module")
def clean(data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fresh(tmp_path_factory.mktemp("clean"), recipe(), data)


def same(run: Run, other: Run) -> None:
    assert rows(run) == rows(other)
    assert weights(run) == weights(other)
    assert best(run) == best(other)
    assert run.finished == other.finished


def best(run: Run) -> bytes:
    return (run.checkpoints / checkpoint.BEST).read_bytes()


def test_a_run_tells_every_step_every_epoch_and_its_end(data: ImageDataset, tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    events = go(run, data)
    assert [event.step for event in events if isinstance(event, StepProgress)] == list(range(1, TOTAL + 1))
    result = [event for event in events if isinstance(event, EpochRow)]
    assert [event.values for event in result] == run.metrics
    assert [(row["epoch"], row["step"]) for row in run.metrics] == [(1, 4), (2, 8), (3, 12)]
    assert all(event.total == EPOCHS for event in result)
    assert run.finished
    assert run.metrics[-1]["train_loss"] < run.metrics[0]["train_loss"]


def test_the_row_of_an_epoch_counts_all_of_its_images(data: ImageDataset, tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(augment=Augment("none")), data)
    for row in run.metrics:
        assert (row["train_error"] * 24 / 100) == pytest.approx(round(row["train_error"] * 24 / 100))
        assert (row["test_error"] * 10 / 100) == pytest.approx(round(row["test_error"] * 10 / 100))


@pytest.mark.parametrize("asks", few_of(range(1, ASKS + 1), (1, 4, 5, 8, ASKS)))
def test_one_interruption_anywhere_changes_no_bit(
    asks: int, data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    run = create(tmp_path, recipe(), identity={})
    events = go(run, data, after(asks))
    assert isinstance(events[-1], Stopped)
    assert not run.finished
    state = checkpoint.load_newest(run.checkpoints)
    assert state is not None
    assert state.facts["progress"]["step"] == events[-1].step
    go(run, data)
    same(run, clean)


@pytest.mark.parametrize("asks", [2, 3, 5])
def test_many_interruptions_change_no_bit(asks: int, data: ImageDataset, clean: Run, tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    for _ in range(ASKS):
        events = go(run, data, after(asks))
        assert run.finished or isinstance(events[-1], Stopped)
        if run.finished:
            break
    same(run, clean)


def test_asking_again_while_a_late_epoch_is_judged_loses_no_row(
    data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    run = create(tmp_path, recipe(), identity={})
    go(run, data, after(EACH))  # at the edge, before the images are judged
    for _ in range(2):  # each time while they are judged
        events = go(run, data, after(1))
        assert events[-1] == Stopped(EACH)
        assert run.metrics == []
    go(run, data)
    same(run, clean)


@pytest.mark.parametrize("came", [0, 1, 4, 5, TOTAL - 1])
def test_asked_while_no_batch_comes_a_run_leaves_with_those_that_came(
    came: int, data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    batches = ClassifyLearn.batches

    def silent(*args: Any, **named: Any) -> Iterator[Any]:
        yield from islice(batches(*args, **named), came)
        raise StoppedWhileWaiting

    run = create(tmp_path, recipe(), identity={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassifyLearn, "batches", silent)
        assert go(run, data)[-1] == Stopped(came)
    saved = checkpoint.load_newest(run.checkpoints)
    assert (saved.facts["progress"]["step"] if saved else 0) == came
    go(run, data)
    same(run, clean)


class Died(BaseException):
    """The process is gone."""


BESTS = 2
"""Epochs of that run that come lower than all before."""
EFFECTS = EPOCHS + EPOCHS + BESTS + 1 + 1
"""Writes of one run: states, rows, best weights, the rewind at its start and the mark at its end."""


def dying(monkeypatch: pytest.MonkeyPatch, nth: int, when: str) -> list[int]:
    """Let the process die before or after its `nth` write; the list counts them."""
    count: list[int] = []

    def wrapped(work: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*words: Any, **named: Any) -> Any:
            count.append(1)
            if len(count) == nth and when == "before":
                raise Died
            done = work(*words, **named)
            if len(count) == nth:
                raise Died
            return done

        return effect

    of_run = ((Run, name) for name in ("append_metrics", "mark_finished", "rewrite_metrics"))
    of_states = ((checkpoint, name) for name in ("save", "save_best_weights"))
    for owner, name in (*of_run, *of_states):
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))
    return count


@pytest.mark.parametrize("when", few_of(["before", "after"], ["after"]))
@pytest.mark.parametrize("nth", range(1, EFFECTS + 1))
def test_dying_around_any_write_changes_no_bit(
    nth: int, when: str, data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    run = create(tmp_path, recipe(), identity={})
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, nth, when)
        with pytest.raises(Died):
            go(run, data)
    if not run.finished:
        go(run, data)
    same(run, clean)


def test_a_run_makes_as_many_writes_as_the_test_above_believes(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = dying(monkeypatch, 1000, "before")
    fresh(tmp_path, recipe(), data)
    assert len(count) == EFFECTS


def test_files_of_a_killed_writer_are_swept_when_training_goes_on(data: ImageDataset, tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    for folder in (run.path, run.checkpoints):
        (folder / ".state-000000001.safetensors.4242.tmp").write_bytes(b"half")
    go(run, data)
    assert not list(tmp_path.rglob("*.tmp"))


def variants() -> dict[str, Recipe]:
    return {
        "bfloat16": recipe(plan=Plan("cpu", "contiguous", "bfloat16", 1)),
        "channels_last": recipe(plan=Plan("cpu", "channels_last", "float32", 1)),
        "both": recipe(plan=Plan("cpu", "channels_last", "bfloat16", 1)),
        "dropout": recipe(arch=arch(drop=True)),
        "no momentum": recipe(optim=Optim(momentum=0.0, label_smoothing=0.1)),
        "saved after every step": recipe(budget=Budget(epochs=3, batch_size=6, save_seconds=0.0)),
        "adamw, in portions, clipped": recipe(
            optim=Optim(kind="adamw", lr=0.01, grad_clip=0.5),
            budget=Budget(epochs=3, batch_size=6, save_seconds=1000.0, accumulate=2),
        ),
        "lamb": recipe(optim=Optim(kind="lamb", lr=0.01)),
        "muon": recipe(optim=Optim(kind="muon", lr=0.01, nesterov=True)),
        "averaged weights": recipe(average=Averaging(ema_decay=0.8)),
        "lookahead and counted norms": recipe(
            average=Averaging(ema_decay=0.5, every=3, lookahead=True, bn_recalibration_images=12)
        ),
        "everything that touches images": recipe(
            augment=Augment(
                "pad_crop",
                pad=1,
                border="reflect",
                alternate=True,
                erase=0.5,
                cutout=3,
                colour=0.1,
                mixup=0.5,
                cutmix=1.0,
            )
        ),
        "a policy": recipe(augment=Augment("pad_crop", pad=1, policy="trivial")),
        "balanced classes": recipe(data=Data("colours", num_workers=0, balance="sample")),
        "weighted classes": recipe(data=Data("colours", num_workers=0, balance="weights")),
        "a plateau": recipe(schedule=Schedule("plateau", patience=1)),
        "a warm-up by error": recipe(schedule=Schedule(warmup_lr_factor=0.1, warmup_error=99.9)),
        "a ragged end": recipe(budget=Budget(epochs=3, steps=10, batch_size=6, save_seconds=1000.0)),
    }


FEW = (
    "both",
    "dropout",
    "adamw, in portions, clipped",
    "muon",
    "lookahead and counted norms",
    "everything that touches images",
    "balanced classes",
    "a plateau",
    "a ragged end",
)


@pytest.mark.parametrize("name", few_of(variants(), FEW))
def test_interruptions_change_no_bit_with(name: str, data: ImageDataset, tmp_path: Path) -> None:
    run_recipe = variants()[name]
    whole = fresh(tmp_path / "whole", run_recipe, data)
    run = create(tmp_path / "parts", run_recipe, identity={})
    for asks in (2, 5, 3):
        go(run, data, after(asks))
    assert not run.finished
    go(run, data)
    same(run, whole)


@pytest.mark.parametrize("kind", few_of(["pad_crop", "resized_crop"], ["resized_crop"]))
def test_the_stacked_convnet_with_dropout_goes_on_bit_for_bit(kind: str, tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos", count=10, side=32)
    run_recipe = replace(convnet(str(folder)), augment=Augment(kind))  # type: ignore[arg-type]
    images = open_dataset(str(folder), val_fraction=0.2)
    whole = fresh(tmp_path / "whole", run_recipe, images)
    run = create(tmp_path / "parts", run_recipe, identity={})
    for asks in (2, 4):
        go(run, images, after(asks))
    go(run, images)
    same(run, whole)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"plan": Plan("cpu", "contiguous", "bfloat16", 1)}, {"augment": Augment("none")}],
    ids=["seed", "precision", "augmentation"],
)
def test_another_recipe_gives_other_weights(
    changes: dict[str, Any], data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    assert weights(fresh(tmp_path, recipe(**changes), data)) != weights(clean)


def test_a_damaged_newest_state_is_named_and_training_goes_on_from_the_older(
    data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    run = create(tmp_path, recipe(), identity={})
    go(run, data, after(7))
    damaged, older = checkpoint.list_checkpoints(run.checkpoints)
    flip(damaged)
    events = go(run, data)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert f"{damaged} is damaged" in notes[0]
    assert f"after step {int(older.stem[-9:])} of {TOTAL}" in notes[1]
    same(run, clean)


def test_a_state_is_saved_when_it_is_due(data: ImageDataset, tmp_path: Path) -> None:
    often = recipe(budget=Budget(epochs=1, batch_size=6, save_seconds=0.0))
    run = create(tmp_path, often, identity={})
    names: list[str] = []

    def record_newest() -> bool:
        names.extend(path.name for path in checkpoint.list_checkpoints(run.checkpoints)[:1])
        return False

    go(run, data, record_newest)
    assert "state-000000002.safetensors" in names


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_finite_states(
    data: ImageDataset, tmp_path: Path
) -> None:
    run = create(tmp_path, recipe(), identity={})
    go(run, data, after(7))
    text = (run.path / "recipe.json").read_text().replace('"lr": 0.05', '"lr": 1e+20')
    (run.path / "recipe.json").write_text(text)
    with pytest.raises(DivergedError, match=r"step \d+.*state-000000006.*lower --set optim.lr"):
        go(run, data)
    state = checkpoint.load_newest(run.checkpoints)
    assert state is not None
    assert state.path.name == "state-000000006.safetensors"
    assert all(torch.isfinite(value).all() for value in state.tensors.values())
    assert all(row["step"] <= 6 for row in run.metrics)


def test_a_network_that_says_no_number_when_judged_has_diverged(data: ImageDataset, tmp_path: Path) -> None:
    run_recipe = replace(
        convnet("colours"), arch=replace(zoo.arch("smallconvnet"), classes=3, preprocess=PIXELS)
    )
    one = Budget(epochs=1, steps=1, batch_size=6, save_seconds=1000.0)
    wild = replace(run_recipe, budget=one, optim=Optim(lr=1e12), schedule=Schedule("constant"))
    with pytest.raises(DivergedError, match=r"NaN or infinity.* after step 1.*lower --set optim.lr"):
        go(create(tmp_path, wild, identity={}), data)


def test_a_state_that_cannot_be_written_is_no_divergence(data: ImageDataset, tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    (run.checkpoints / f"state-{EACH:09d}.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"state-0+4\.safetensors .*file"):
        go(run, data)


def test_a_finished_run_gains_nothing_by_training_on(data: ImageDataset, tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(), data)
    before = weights(run), rows(run)
    go(run, data)
    assert (weights(run), rows(run)) == before


def test_the_first_weights_come_from_the_file_that_the_recipe_names(
    data: ImageDataset, clean: Run, tmp_path: Path
) -> None:
    path = checkpoint.list_checkpoints(clean.checkpoints)[0]
    network = initial_network(recipe(weights=str(path)), data.train.classes)
    copied = checkpoint.load_weights(path, "auto")[0]
    assert all(
        torch.equal(value, other)
        for value, other in zip(network.state_dict().values(), copied.state_dict().values(), strict=True)
    )
