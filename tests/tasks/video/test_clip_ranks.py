"""Several processes train and evaluate on clips exactly like one."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import clip_data
from ranks import together
from residua.nn.letters import Letter
from residua.nn.letters_clip import CLIP_LETTERS
from residua.nn.network import Network
from residua.runs.run import Run, create
from residua.spec.recipe import Recipe
from residua.tasks.video.data_task import ClipDataset
from residua.tasks.video.learn_task import VideoLearn
from residua.training.network import initial_network
from residua.training.processes.world import SINGLE_PROCESS, World
from residua.training.session import TrainingSession
from small import difference, never, rows

GROUPS: Mapping[str, Letter] = {
    **CLIP_LETTERS,
    "N": Letter("norm", False, lambda conv: nn.GroupNorm(2, conv.width)),
}
"""Letters whose norm sees one clip at a time, so that dealing out a batch changes nothing."""


@pytest.fixture(scope="module")
def sets() -> ClipDataset:
    return clip_data.sets()


def grouped(recipe_: Recipe) -> Network:
    torch.manual_seed(recipe_.seed)
    network = Network(recipe_.arch, letters=GROUPS)
    network.class_names = clip_data.CLASSES
    return network


def initial_(recipe_: Recipe) -> Network:
    return initial_network(recipe_, clip_data.CLASSES)


def run_in(size: int, path: Path, sets: ClipDataset, network: Callable[[Recipe], Network]) -> Run:
    run = create(path, clip_data.recipe(), identity={})

    def work(world: World) -> None:
        for _ in TrainingSession(
            run, network(clip_data.recipe()), sets, VideoLearn(), stop=never, world=world
        ).events():
            pass

    if size == 1:
        work(SINGLE_PROCESS)
    else:
        together(size, work)
    return run


def test_two_processes_train_like_one_on_clips(sets: ClipDataset, tmp_path: Path) -> None:
    """Batches of five, so that shares are uneven."""
    alone, pair = (run_in(size, tmp_path / str(size), sets, grouped) for size in (1, 2))
    assert 0 < difference(pair, alone) <= 1e-5
    for mine, theirs in zip(rows(pair), rows(alone), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
        assert mine["train_error"] == theirs["train_error"]  # every clip counted once, not one more


def test_two_processes_evaluate_clips_exactly_like_one(sets: ClipDataset) -> None:
    recipe_ = clip_data.recipe()

    def outputs(network: Network, world: World) -> tuple[np.ndarray, np.ndarray, float]:
        evaluation = VideoLearn().validate(network, sets, recipe_, plan=recipe_.plan, world=world, stop=never)
        return evaluation.probabilities, evaluation.labels, evaluation.loss

    alone = outputs(initial_(recipe_), SINGLE_PROCESS)

    def work(world: World) -> None:
        network = initial_(recipe_)
        if not world.is_main:
            for value in network.buffers():
                value += 1  # its own running statistics are replaced
        for ours, theirs in zip(outputs(network, world), alone, strict=True):
            assert np.array_equal(ours, theirs)

    together(2, work)
