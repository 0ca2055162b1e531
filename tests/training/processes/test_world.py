"""Ranks that train together against one process that trains alone (reliability F17)."""

import importlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from few import few_of
from ranks import begin, end, together
from residua.data.images import ImageDataset
from residua.data.sampler import share
from residua.errors import ConfigError, DataError, PeerFailedError
from residua.jobs.train import start_or_join
from residua.jobs.train_request import TrainRequest
from residua.nn.letters import LETTERS, Letter
from residua.nn.network import Network
from residua.runs.run import Run, create
from residua.spec.recipe import Budget, Plan, Recipe
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training.network import initial_network
from residua.training.processes.world import SINGLE_PROCESS, World, process_group
from residua.training.session import TrainingSession
from small import after, arch, colours, difference, file_of, flip, never, recipe, rows, weights

GROUPS: Mapping[str, Letter] = {
    **LETTERS,
    "N": Letter("norm", False, lambda given: nn.GroupNorm(2, given.width)),
}
"""Letters whose norm sees one image at a time, so that dealing out a batch changes nothing."""


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return colours()


def grouped(run_recipe: Recipe) -> Network:
    torch.manual_seed(run_recipe.seed)
    network = Network(run_recipe.arch, letters=GROUPS)
    network.class_names = ("blue", "green", "red")
    return network


def drawn(run_recipe: Recipe) -> Network:
    return initial_network(run_recipe, ("blue", "green", "red"))


def run_in(
    size: int,
    path: Path,
    run_recipe: Recipe,
    data: ImageDataset,
    *,
    network: Callable[[Recipe], Network] = drawn,
    asks: int = 0,
) -> Run:
    """A run at `path`, trained by `size` ranks until its end, or until rank 0 has asked `asks` times."""
    run = Run(path) if (path / "recipe.json").exists() else create(path, run_recipe, identity={})

    def work(world: World) -> None:
        stop = after(asks) if asks and world.is_main else never
        for _ in TrainingSession(
            run, network(run_recipe), data, ClassifyLearn(), stop=stop, world=world
        ).events():
            pass

    if size == 1:
        work(SINGLE_PROCESS)
    else:
        together(size, work)
    return run


@pytest.mark.parametrize(("size", "batch"), [(2, 6), (2, 5), (3, 7)])
def test_ranks_learn_what_one_process_learns(
    size: int, batch: int, data: ImageDataset, tmp_path: Path
) -> None:
    run_recipe = recipe(budget=Budget(epochs=3, batch_size=batch, save_seconds=1000.0))
    alone = run_in(1, tmp_path / "alone", run_recipe, data, network=grouped)
    many = run_in(size, tmp_path / "many", run_recipe, data, network=grouped)
    assert 0 < difference(many, alone) <= 1e-5
    for mine, theirs in zip(rows(many), rows(alone), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
        assert mine["train_error"] == theirs["train_error"]  # every image counted once, not one more


def test_without_the_weights_an_uneven_share_would_not_pass(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_recipe = recipe(budget=Budget(epochs=3, batch_size=5, save_seconds=1000.0))
    alone = run_in(1, tmp_path / "alone", run_recipe, data, network=grouped)
    monkeypatch.setattr(World, "local_batch_size", lambda world, batch: batch / world.size)
    many = run_in(2, tmp_path / "many", run_recipe, data, network=grouped)
    assert difference(many, alone) > 1e-4


@pytest.mark.battery
def test_interrupted_ranks_that_compile_end_with_the_same_bits(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, bfloat16 and channels_last; traced like any compiled run, but not made into kernels."""
    importlib.import_module("torch._inductor.pattern_matcher")  # else each of the six ranks would import it
    compile_ = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module, **_: compile_(module, backend="aot_eager"))
    plan = Plan("cpu", "channels_last", "bfloat16", 1, compile="blocks")
    run_recipe = recipe(arch=arch(drop=True), plan=plan)
    whole = run_in(2, tmp_path / "whole", run_recipe, data)
    parts = run_in(2, tmp_path / "parts", run_recipe, data, asks=5)
    assert not parts.finished
    run_in(2, tmp_path / "parts", run_recipe, data)
    assert (rows(parts), weights(parts)) == (rows(whole), weights(whole))


@pytest.mark.parametrize("asks", few_of((4, 5, 6), (5,)))
def test_the_same_ranks_twice_and_interrupted_ranks_end_with_the_same_bits(
    asks: int, data: ImageDataset, tmp_path: Path
) -> None:
    """Interrupted at the end of an epoch, while its images are evaluated, or in the middle of the next."""
    run_recipe = recipe(arch=arch(drop=True))
    first = run_in(2, tmp_path / "first", run_recipe, data)
    again = run_in(2, tmp_path / "again", run_recipe, data)
    parts = run_in(2, tmp_path / "parts", run_recipe, data, asks=asks)
    assert not parts.finished
    for run in (again, run_in(2, tmp_path / "parts", run_recipe, data)):
        assert weights(run) == weights(first)
        assert rows(run) == rows(first)
        assert run.finished


def test_ranks_differ_from_one_process_where_batch_norms_see_their_share(
    data: ImageDataset, tmp_path: Path
) -> None:
    assert (
        difference(run_in(2, tmp_path / "2", recipe(), data), run_in(1, tmp_path / "1", recipe(), data))
        > 1e-3
    )


@pytest.mark.parametrize(("size", "at_once"), [(2, 250), (2, 3), (3, 6)])
def test_ranks_validate_exactly_as_one_process(
    size: int, at_once: int, data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residua.tasks.classify.learn_task.max_batch_size", lambda *_: at_once)
    run_recipe = recipe()
    alone = ClassifyLearn().validate(
        drawn(run_recipe), data, run_recipe, plan=run_recipe.plan, world=SINGLE_PROCESS, stop=never
    )

    def work(world: World) -> None:
        network = drawn(run_recipe)
        if not world.is_main:
            for value in network.buffers():
                value += 1  # its own running statistics are not asked
        result = ClassifyLearn().validate(
            network, data, run_recipe, plan=run_recipe.plan, world=world, stop=never
        )
        assert (result.probabilities == alone.probabilities).all()
        assert (result.labels == alone.labels).all()
        assert result.loss == alone.loss

    together(size, work)


def test_a_state_that_is_damaged_is_passed_over_by_all_ranks_alike(
    data: ImageDataset, tmp_path: Path
) -> None:
    run_recipe = recipe(budget=Budget(epochs=3, batch_size=6, save_seconds=0.0))
    whole = run_in(2, tmp_path / "whole", run_recipe, data)
    parts = run_in(2, tmp_path / "parts", run_recipe, data, asks=7)
    flip(max(parts.checkpoints.iterdir()))
    run_in(2, tmp_path / "parts", run_recipe, data)
    assert weights(parts) == weights(whole)


def record_errors(folder: Path, work: Callable[[World], object]) -> Callable[[int], None]:
    """Join the group, do `work`, and write what it raised to a file."""

    def rank_work(rank: int) -> None:
        try:
            with process_group() as world:
                work(world)
        except PeerFailedError as error:
            (folder / f"{rank}").write_text(f"{error.kinds[0]} {error.silent} {error}")
        except Exception as error:
            (folder / f"{rank}").write_text(f"{type(error).__name__} {error}")

    return rank_work


def blocked(world: World) -> None:
    world.sum(1.0)


def patient(world: World) -> None:
    world.barrier()


@pytest.mark.parametrize("wait", [blocked, patient])
@pytest.mark.parametrize("culprit", [0, 1])
def test_an_error_on_one_rank_ends_all_and_rank_0_speaks(
    culprit: int, wait: Callable[[World], None], tmp_path: Path
) -> None:
    def work(world: World) -> None:
        if world.rank == culprit:
            raise DataError("photo.jpg is bad")
        wait(world)

    assert end(begin(3, record_errors(tmp_path, work), stall=3.0), limit=30) == [0, 0, 0]
    said = [(tmp_path / str(rank)).read_text() for rank in range(3)]
    who = f"process {culprit}: " if culprit else ""
    assert said[0] == f"DataError {f'False {who}' if culprit else ''}photo.jpg is bad"
    for rank in (1, 2):
        prefix = "" if rank == culprit else who
        assert said[rank] == f"DataError True {prefix}photo.jpg is bad"


@pytest.mark.parametrize("wait", [blocked, patient])
def test_a_rank_that_is_killed_is_missed(wait: Callable[[World], None], tmp_path: Path) -> None:
    def work(world: World) -> None:
        if world.rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        wait(world)

    assert end(begin(2, record_errors(tmp_path, work)), limit=30) == [-signal.SIGKILL, 0]
    assert re.match("PeerLostError .*died or stalls", (tmp_path / "1").read_text())


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (lambda world: world.sum(1.0), "died or stalls"),
        (World.barrier, "process 1 .*stands still"),
    ],
    ids=["in a step", "patiently"],
)
def test_a_stopped_rank_is_missed_in_bounded_time_and_woken_to_end(
    wait: Callable[[World], object], said: str, tmp_path: Path
) -> None:
    def work(world: World) -> None:
        wait(world)
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        wait(world)

    assert end(begin(2, record_errors(tmp_path, work), stall=2.0), limit=40) == [0, 0]
    assert re.match(f"PeerLostError .*{said}", (tmp_path / "0").read_text())


def test_who_works_while_the_others_wait_is_not_taken_for_one_that_stalls(tmp_path: Path) -> None:
    def work(world: World) -> None:
        if world.rank == 1:
            time.sleep(3)
        world.barrier()

    assert end(begin(2, record_errors(tmp_path, work), stall=2.0)) == [0, 0]
    assert not list(tmp_path.iterdir())


def test_more_ranks_than_images_of_a_batch_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"4 processes .*batch of 3.*at most 3"):
        World(0, 4).local_batch_size(3)


def test_shares_are_those_of_the_sampler() -> None:
    for size in (1, 2, 3, 7):
        for batch in (7, 8, 64):
            counts = [
                len(share(0, 0, count=100, batch_size=batch, rank=rank, world=size)[1])
                for rank in range(size)
            ]
            assert [World(rank, size).local_batch_size(batch) for rank in range(size)] == counts


def test_batch_norms_over_all_ranks_need_gpus(data: ImageDataset, tmp_path: Path) -> None:
    run_recipe = recipe(plan=replace(recipe().plan, sync_norm=True))
    run = create(tmp_path / "run", run_recipe, identity={})

    def work(world: World) -> None:
        list(TrainingSession(run, drawn(run_recipe), data, ClassifyLearn(), stop=never, world=world).events())

    assert end(begin(2, record_errors(tmp_path, work))) == [0, 0]
    assert (tmp_path / "0").read_text().startswith("ConfigError plan.sync_norm needs GPUs")


def test_a_batch_too_small_for_its_ranks_begins_no_run(tmp_path: Path) -> None:
    run_recipe = recipe("digits", budget=Budget(epochs=1, batch_size=2))
    train_request = TrainRequest("digits", recipe=str(file_of(run_recipe, tmp_path / "recipe.json")))

    def work(_rank: int) -> None:
        with (
            pytest.raises((ConfigError, PeerFailedError), match=r"3 processes .*batch of 2"),
            process_group() as world,
        ):
            start_or_join(train_request, tmp_path / "run", world=world)

    assert end(begin(3, work)) == [0] * 3
    assert not (tmp_path / "run").exists()


def test_what_a_job_began_it_goes_on_with_and_no_other(tmp_path: Path) -> None:
    run_recipe = file_of(recipe("digits", budget=Budget(epochs=1, batch_size=600)), tmp_path / "recipe.json")
    train_request, path = TrainRequest("digits", recipe=str(run_recipe)), tmp_path / "run"
    begun, _ = start_or_join(train_request, path, world=World(job_id="photos"))
    assert begun.job_id == "photos"
    assert start_or_join(train_request, path, world=World(job_id="photos"))[0] == begun
    other = replace(train_request, changes=(("optim.lr", "0.01"),))
    for again, world in (
        (train_request, World(job_id="plants")),
        (train_request, World()),
        (other, World(job_id="photos")),
    ):
        with pytest.raises(FileExistsError, match="a run already"):
            start_or_join(again, path, world=world)
    begun.mark_finished({"step": 2})
    with pytest.raises(FileExistsError, match="choose another -o"):
        start_or_join(train_request, path, world=World(job_id="photos"))
