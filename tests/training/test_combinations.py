"""Whatever a run computes with, how many workers read and where it is interrupted change no bit (P2, F16)."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from residua.data.images import ImageDataset
from residua.data.open import open_dataset
from residua.files import write_file
from residua.runs import checkpoint
from residua.runs.run import Run, create
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe
from residua.spec.record import to_json
from small import after, arch, fresh, go, recipe, rows, split_folder, weights

ASKS = {7: 7, 12: 12, 13: 14}
"""How often `stop` is asked until a step: after each, and once for the test images, after 12 steps."""
WORKERS = ((0, 0), (1, 1), (2, 2), (4, 4), (2, 0), (0, 3))
"""Those that read until an interruption, and after it."""
CHOICES = ("dropout", "bfloat16", "channels_last", "compiled", "adamw")
CELLS = [tuple(filter(None, cell)) for cell in product(*(("", choice) for choice in CHOICES))]
"""Every set of choices."""
Breaks = tuple[tuple[tuple[int, int], int], ...]
"""Workers, and the step after which they are stopped, of each run of a set of choices."""
FEW: Breaks = tuple((WORKERS[place], 7) for place in (4, 5))
ALL: Breaks = tuple(product(WORKERS, ASKS))


def breaks(place: int) -> Breaks:
    """All for the first and the last set of choices; for the others every step, each with other workers."""
    if place in (0, len(CELLS) - 1):
        return ALL
    return tuple((WORKERS[(place + turn) % len(WORKERS)], step) for turn, step in enumerate(ASKS))


def combined(chosen: tuple[str, ...], source: str) -> Recipe:
    """Two epochs of twelve steps, whose images are read from files."""
    run_recipe = recipe(
        source,
        augment=Augment("resized_crop"),
        arch=arch(drop="dropout" in chosen),
        budget=Budget(epochs=2, batch_size=2, save_seconds=1000.0),
    )
    plan = replace(
        run_recipe.plan,
        precision="bfloat16" if "bfloat16" in chosen else "float32",
        memory_format="channels_last" if "channels_last" in chosen else "contiguous",
        compile="whole" if "compiled" in chosen else "off",
    )
    how = Optim(kind="adamw", lr=0.01) if "adamw" in chosen else run_recipe.optim
    return replace(run_recipe, plan=plan, optim=how)


def read_by(run_recipe: Recipe, workers: int) -> Recipe:
    return replace(run_recipe, data=Data(run_recipe.data.source, num_workers=workers, resident_bytes=0))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    return open_dataset(str(split_folder(tmp_path_factory.mktemp("combined"))), val_fraction=0.2)


def interrupted(
    path: Path, run_recipe: Recipe, images: ImageDataset, workers: tuple[int, int], step: int
) -> Run:
    """The run that was stopped after `step` and went on with another number of workers."""
    run = create(path, read_by(run_recipe, workers[0]), identity={})
    go(run, images, after(ASKS[step]))
    assert checkpoint.step_in_name(checkpoint.list_checkpoints(run.checkpoints)[0]) == step
    write_file(run.path / "recipe.json", to_json(read_by(run_recipe, workers[1])))
    go(run, images)
    return run


@pytest.mark.parametrize(
    ("chosen", "where"),
    [
        pytest.param((), FEW, id="few"),
        *(
            pytest.param(chosen, breaks(place), marks=pytest.mark.battery, id=" ".join(chosen) or "plain")
            for place, chosen in enumerate(CELLS)
        ),
    ],
)
def test_workers_and_interruptions_change_no_bit(
    chosen: tuple[str, ...],
    where: Breaks,
    images: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is compiled is traced, backwards too, but not made into kernels: those would take minutes each."""
    torch._dynamo.reset()
    compile_ = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module, **_: compile_(module, backend="aot_eager"))
    run_recipe = combined(chosen, images.name)
    whole = fresh(tmp_path / "whole", read_by(run_recipe, 0), images)
    for workers, step in where:
        run = interrupted(tmp_path / f"{workers}-{step}", run_recipe, images, workers, step)
        assert (weights(run), rows(run)) == (weights(whole), rows(whole)), f"{workers} workers, step {step}"
