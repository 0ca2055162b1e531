"""What an accelerator would refuse, or wait for, shown by torch's meta device: its tensors have no numbers.

An operation on tensors of two devices fails there, as it would on an accelerator. So does whatever asks for a
number, for which an accelerator would make the host wait. `test_nonfinite.py` counts on one that is at hand.
"""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import clip_data
from residua.data.batches import Batch
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run, resume
from residua.jobs.train_request import TrainRequest
from residua.measure.evaluate import evaluate
from residua.measure.views import SingleView
from residua.nn import device
from residua.nn.network import Network, build
from residua.predict.classifier import Classifier
from residua.runs.checkpoint import Progress
from residua.runs.metadata_backup import write_backup
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Optim, Plan, Recipe
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.tasks.video.learn_task import VideoLearn
from residua.training import optim
from residua.training.average import EmaWeights
from residua.training.epoch_totals import EpochTotals
from residua.training.loop import train
from residua.training.processes.world import SINGLE_PROCESS
from small import after, arch, colours, recipe, rows, split_folder, weights

META = Plan("meta", "channels_last", "float32", 1)
AUGMENT = Augment("pad_crop", pad=1, erase=0.5, cutout=3, colour=0.1, mixup=0.2, cutmix=1.0, border="reflect")
IMAGES = {
    "plain": recipe(),
    "average": recipe(average=Averaging(ema_decay=0.9, lookahead=True)),
    "adamw": recipe(
        optim=Optim(kind="adamw", grad_clip=1.0), budget=Budget(epochs=2, batch_size=6, accumulate=2)
    ),
    "augmented": recipe(augment=AUGMENT, optim=Optim(label_smoothing=0.1, on_nonfinite="skip")),
}
ASKED = "meta"
"""What the message of torch's RuntimeError contains when a number is asked for."""


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has no autocast, and every precision takes the same way."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


def take_found_inf(optimizer: Any, *_: object) -> None:
    """What a fused kernel reads on the device to skip an update, taken away from one that cannot."""
    assert optimizer.found_inf.is_meta
    optimizer.found_inf = None


def trained_on_meta(task: Any, sets: Any, run_recipe: Recipe, count: int) -> EpochTotals:
    """The sums after `count` steps with all that belongs to a step."""
    network: Network = device.place_network(task.initial_network(run_recipe, sets.train.classes), META)
    totals = EpochTotals(Progress(), device="meta", world=SINGLE_PROCESS)
    average = EmaWeights(network, run_recipe.average) if run_recipe.average.ema_decay else None
    optimizer = optim.make_optimizer(network, run_recipe.optim, fused="off")  # no fused kernel for meta
    optimizer.defaults["fused"] = True  # so that the step is guarded as on an accelerator
    optimizer.register_step_pre_hook(take_found_inf)
    moments = train(
        network,
        task.batches(sets, run_recipe, first=0, steps=count, workers=0, world=SINGLE_PROCESS, device="meta"),
        task.loss_fn(sets, run_recipe, META),
        optimizer=optimizer,
        lr_at=lambda _: 0.1,
        seed=0,
        accumulate=run_recipe.budget.accumulate,
        grad_clip=run_recipe.optim.grad_clip,
        skip=SINGLE_PROCESS.any_on_device if run_recipe.optim.on_nonfinite == "skip" else None,
    )
    steps = []
    for moment in moments:
        if average:
            average.update(network, moment.step)
        totals.add(moment)
        steps.append(moment.step)
    assert steps == list(range(1, count + 1))
    return totals


def test_the_meta_device_refuses_what_an_accelerator_does() -> None:
    there = torch.ones(3, device="meta")
    with pytest.raises(RuntimeError, match=ASKED):
        there + torch.ones(3)
    for ask in (float, bool, torch.Tensor.tolist, torch.Tensor.cpu, torch.nonzero):
        with pytest.raises(RuntimeError, match=ASKED):
            ask(there[0] if ask in (float, bool) else there)


@pytest.mark.parametrize("name", IMAGES)
def test_no_step_mixes_devices_or_asks_for_a_number(name: str) -> None:
    totals = trained_on_meta(ClassifyLearn(), colours(), IMAGES[name], 8)
    with pytest.raises(RuntimeError, match=ASKED):  # the end of an epoch does
        totals.fold(8, 0.0)


def test_no_step_of_clips_does() -> None:
    trained_on_meta(VideoLearn(), clip_data.sets(), clip_data.recipe(), 2)


def test_evaluation_asks_once_after_all_batches() -> None:
    batches: list[Batch] = []

    class Watched(SingleView):
        def batches(self, *args: Any, **kwargs: Any) -> Iterator[Batch]:
            for batch in super().batches(*args, **kwargs):
                batches.append(batch)
                yield batch

    classifier = Classifier(device.place_network(build(arch()), META).eval(), META)
    with pytest.raises(RuntimeError, match=ASKED):
        evaluate(classifier, colours().test, Watched(3, resident_bytes=1 << 20))
    assert len(batches) == 4


def test_a_run_of_an_accelerator_resumes_on_the_cpu_when_forced(tmp_path: Path) -> None:
    folder = split_folder(tmp_path / "photos")
    begun = {}
    for name in ("alone", "moved"):
        prepared = prepare(TrainRequest(str(folder), recipe=recipe(str(folder))))
        begun[name] = create_run(prepared, tmp_path / name)
        fit_run(begun[name], prepared, **({"stop": after(3)} if name == "moved" else {}))
    for file, part, value in (("recipe.json", "plan", "cuda"), ("environment.json", "", "an accelerator")):
        path = begun["moved"].path / file
        content = json.loads(path.read_text())
        (content[part] if part else content)["device"] = value
        path.write_text(json.dumps(content))
    write_backup(begun["moved"].path)
    if torch.cuda.is_available():
        pytest.skip("here is an accelerator")
    with pytest.raises(ValueError, match="force-environment"):
        resume(begun["moved"].path)
    resume(begun["moved"].path, force_environment=True)
    assert rows(begun["moved"]) == rows(begun["alone"])
    assert weights(begun["moved"]) == weights(begun["alone"])
