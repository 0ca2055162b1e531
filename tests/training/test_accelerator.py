"""Training on an accelerator that the CPU plays: the CPU's own bits, and a host that hardly ever waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import box_data
import clip_data
from fake_accelerator import Seen, fake_accelerator
from ranks import apart, end
from ranks import begin as begin_ranks
from residua.data.batches import Batch
from residua.data.open import find_boxes as find
from residua.data.scenes import build_box_dataset
from residua.errors import ConfigError
from residua.jobs.prepare import TrainRequest, prepare
from residua.jobs.train import create_run, fit_run, resume
from residua.measure.evaluate import evaluate
from residua.measure.views import SingleView
from residua.nn import device
from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.runs.run import Run, create, open_run
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Optim, Plan, Recipe, Schedule
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.tasks.detect.learn_task import DetectLearn
from residua.tasks.video.learn_task import VideoLearn
from residua.training.epoch_totals import EpochTotals
from residua.training.loop import Moment
from residua.training.processes.world import SINGLE_PROCESS, World, process_group
from residua.training.session import TrainingSession
from small import Stop, after, arch, colours, never, recipe, rows, split_folder, weights

THERE, HERE = Plan("cuda", "channels_last", "float32", 1), Plan("cpu", "channels_last", "float32", 1)


@apart
def test_the_accelerator_that_the_cpu_plays_is_one() -> None:
    with fake_accelerator() as seen:
        ours = torch.arange(6.0).pin_memory().to("cuda", non_blocking=True)
        assert (ours.device.type, ours.is_cuda, (ours + 1).device.type) == ("cuda", True, "cuda")
        with pytest.raises(RuntimeError, match="on the same device"):
            ours + torch.ones(6)
        assert seen.waits == []
        torch.arange(6.0).to("cuda")
        ours.cpu()
        float(ours[2])
        bool(ours.sum() == 15)
        ours[ours > 2]
        torch.cuda.synchronize()
    assert len(seen.waits) == 6


@dataclass(frozen=True)
class Case:
    """One run, small enough for a test."""

    name: str
    task: Any
    sets: Callable[[], Any]
    recipe: Recipe

    def run(self, path: Path, plan: Plan, stop: Stop = never) -> Run:
        """Train it as `plan` says."""
        run = open_run(path) if path.exists() else create(path, replace(self.recipe, plan=plan), identity={})
        with run.lock():
            self.work(run, SINGLE_PROCESS, stop)
        return run

    def work(self, run: Run, world: World, stop: Stop = never) -> None:
        """One process's part of training it."""
        sets = self.sets()
        network = self.task.initial_network(run.recipe, sets.train.classes)
        for _ in TrainingSession(run, network, sets, self.task, stop=stop, world=world).events():
            pass


def images(name: str, **changes: Any) -> Case:
    return Case(name, ClassifyLearn(), colours, recipe(**changes))


TOUCHED = Augment("pad_crop", pad=1, erase=0.5, cutout=3, colour=0.1, mixup=0.2, cutmix=1.0)
IMAGES = [
    images("plain"),
    images("mean", average=Averaging(ema_decay=0.9, lookahead=True, bn_recalibration_images=12)),
    images(
        "adamw", optim=Optim(kind="adamw", grad_clip=1.0), budget=Budget(epochs=2, batch_size=6, accumulate=2)
    ),
    images(
        "touched",
        augment=replace(TOUCHED, border="reflect"),
        optim=Optim(label_smoothing=0.1, on_nonfinite="skip"),
    ),
    images("plateau", schedule=Schedule("plateau"), optim=Optim(nesterov=True)),
]


def same(case: Case, tmp_path: Path, there: Plan = THERE) -> None:
    """It comes to the CPU's bits, interrupted after three steps."""
    alone = case.run(tmp_path / "here", HERE)
    with fake_accelerator():
        ours = case.run(tmp_path / "there", there, after(3))
        assert not (ours.path / "finished.json").exists()
        case.run(ours.path, there)
    assert (ours.path / "finished.json").exists()
    assert rows(ours) == rows(alone)
    assert weights(ours) == weights(alone)


@contextmanager
def counted(seen: Seen) -> Iterator[list[tuple[int, int]]]:
    """What was waited for when each step was counted, with its number."""
    result: list[tuple[int, int]] = []
    add = EpochTotals.add

    def count(tally: EpochTotals, moment: Moment) -> None:
        add(tally, moment)
        result.append((moment.step, len(seen.waits)))

    with patch.object(EpochTotals, "add", count):
        yield result


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: case.name)
@apart
def test_images_are_learned_as_on_the_cpu(case: Case, tmp_path: Path) -> None:
    same(case, tmp_path)


@pytest.mark.parametrize("case", [IMAGES[1], IMAGES[3]], ids=lambda case: case.name)
def test_two_accelerators_learn_as_two_processes_of_the_cpu(case: Case, tmp_path: Path) -> None:
    runs = [
        create(tmp_path / how.device, replace(case.recipe, plan=how), identity={}) for how in (THERE, HERE)
    ]

    def work(run: Run) -> None:
        with fake_accelerator() if run.recipe.plan == THERE else nullcontext(), process_group() as world:
            assert world.local_device("auto").startswith("cuda" if run.recipe.plan == THERE else "cpu")
            case.work(run, world)

    for run in runs:
        assert end(begin_ranks(2, lambda _rank, run=run: work(run))) == [0, 0]
    ours, alone = runs
    assert (ours.path / "finished.json").exists()
    assert rows(ours) == rows(alone)
    assert weights(ours) == weights(alone)


@apart
def test_within_a_limit_too(tmp_path: Path) -> None:
    same(IMAGES[0], tmp_path, replace(THERE, memory_limit=1 << 20))


@apart
def test_clips_are_learned_as_on_the_cpu(tmp_path: Path) -> None:
    same(Case("clips", VideoLearn(), clip_data.sets, clip_data.recipe()), tmp_path)


@apart
def test_boxes_are_learned_as_on_the_cpu(tmp_path: Path) -> None:
    source = f"voc:{box_data.voc_folder(tmp_path / 'voc')}"
    sets = build_box_dataset(find(source), skip=False)
    same(Case("boxes", DetectLearn(), lambda: sets, box_data.recipe(source)), tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@apart
def test_between_two_epochs_the_host_never_waits(precision: Any, tmp_path: Path) -> None:
    plan = replace(THERE, precision=precision)
    for case in IMAGES[1:4]:
        case = replace(case, recipe=replace(case.recipe, budget=replace(case.recipe.budget, epochs=2)))
        with fake_accelerator() as seen, counted(seen) as result:
            case.run(tmp_path / case.name, plan)
        assert [step for step, _ in result] == list(range(1, 9))
        for first, *others in (result[:4], result[4:]):
            assert {waits for _, waits in others} == {first[1]}, seen.waits[first[1] :]


@apart
def test_evaluation_waits_once_after_all_batches(tmp_path: Path) -> None:
    sets, waited = colours(), []

    class Watched(SingleView):
        def batches(self, *args: Any, **kwargs: Any) -> Iterator[Batch]:
            for batch in super().batches(*args, **kwargs):
                waited.append(len(seen.waits))
                yield batch

    def evaluated(how: Plan) -> Any:
        torch.manual_seed(0)
        network = device.place_network(build(arch()), how).eval()
        return evaluate(Classifier(network, how), sets.test, Watched(3, resident_bytes=1 << 20))

    with fake_accelerator() as seen:
        result = evaluated(THERE)
    assert len(waited) == 4
    assert waited[1:] == [waited[1]] * 3, "the first batch brings the statistics that pixels are scaled by"
    assert result.loss == evaluated(HERE).loss


@apart
def test_a_run_goes_on_where_there_is_none(tmp_path: Path) -> None:
    """It says so first; here its bits stay the same all the same."""
    folder = split_folder(tmp_path / "photos")
    run_recipe = replace(recipe(str(folder)), plan=HERE)
    begun = {}
    for name, how in (("alone", HERE), ("moved", THERE)):
        with fake_accelerator() if how is THERE else nullcontext():
            prepared = prepare(TrainRequest(str(folder), recipe=replace(run_recipe, plan=how)))
            begun[name] = create_run(prepared, tmp_path / name)
            fit_run(begun[name], prepared, stop=after(3) if how is THERE else never)
    with pytest.raises(ConfigError, match=r"is cpu, was .*accelerator.*--force-environment"):
        resume(begun["moved"].path)
    resume(begun["moved"].path, force_environment=True)
    assert rows(begun["moved"]) == rows(begun["alone"])
    assert weights(begun["moved"]) == weights(begun["alone"])
