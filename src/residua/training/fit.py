"""The edge of training: takes the loop's Moments, counts, evaluates, saves, stops; tells it by Events."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from residua.data.batches import Batch, testing, training
from residua.data.sampler import steps_per_epoch
from residua.data.sources import Dataset
from residua.measure.evaluate import Judgement, NotFinite, evaluate
from residua.nn import heap
from residua.nn.network import Network, build
from residua.spec.recipe import Recipe
from residua.training import checkpoint, memory, optim, plan
from residua.training.checkpoint import Progress
from residua.training.loop import Moment, objective, train
from residua.training.run import Diverged, Run
from residua.training.schedule import rate_at
from residua.weights.load import load
from residua.weights.store import sweep


@dataclass(frozen=True, slots=True)
class Note:
    """Something the caller should be told once."""

    text: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Where training is."""

    step: int
    """Updates made."""
    total: int
    """Updates to make."""
    loss: float
    """Mean loss of the epoch so far."""
    rate: float
    """Learning rate."""
    speed: float
    """Training images per second since the last start, judging left out."""
    seconds_left: float
    """To the end, at that speed."""


@dataclass(frozen=True, slots=True)
class Row:
    """A finished epoch: what was appended to the metrics."""

    values: dict[str, Any]
    """Its line."""
    total: int
    """Epochs to make."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training stopped early because it was asked to, after saving."""

    step: int
    """Updates made and saved."""


Event = Note | Tick | Row | Stopped


_CURE = "try a lower --set optim.rate"


class _Asked(Exception):
    """Somebody asked to stop while images were being judged."""


def initial(recipe: Recipe, classes: tuple[str, ...]) -> Network:
    """The recipe's network with its first weights: those its seed draws, or those of its file."""
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch)
    network.class_names = classes
    if recipe.weights:
        load(network, Path(recipe.weights))
    return network


def length(recipe: Recipe, images: int) -> tuple[int, int]:
    """Updates in one epoch and in all."""
    each = steps_per_epoch(images, recipe.budget.batch)
    return each, recipe.budget.steps or each * recipe.budget.epochs


class Fit:
    """One process training one run, with all it holds; `events()` does the work."""

    def __init__(self, run: Run, network: Network, dataset: Dataset, *, stop: Callable[[], bool]) -> None:
        """`network` is the run's, fresh; `stop()` is asked after every step whether to leave."""
        self.run, self.dataset, self.stop = run, dataset, stop
        self.recipe = run.recipe
        self.network = plan.place(network, self.recipe.plan)
        self.fitted = memory.fit_run(self.network, self.recipe, dataset)
        self.optimizer = optim.make(self.network, self.recipe.optim)
        self.each, self.total = length(self.recipe, len(dataset.train))
        self.progress = Progress()
        self.judged: Judgement | None = None
        self.seconds, self.images = 0.0, 0

    def events(self) -> Iterator[Event]:
        """Train from the newest good state to the end, or until `stop()`.

        Diverged when the loss is no longer finite. Only one process at a time: hold `run.lock()`.
        """
        yield from self._go_back()
        if self._owes_row:
            yield Stopped(self.progress.step)
            return
        every = (
            1 if self.recipe.plan.device == "cpu" else 20
        )  # elsewhere each look at the loss waits for the device
        loss, wrong, seen = self._zeros()
        saved = looked = time.monotonic()
        for moment in self._moments():
            loss += moment.loss.to(loss.dtype) * moment.images
            wrong += moment.wrong
            seen += moment.images
            edge = self._is_edge(moment.step)
            leave = self.stop()
            due = time.monotonic() - saved > self.recipe.budget.save_seconds
            if not (edge or leave or due or moment.step % every == 0):
                continue
            self._count(moment, float(loss), int(wrong), seen)
            now = time.monotonic()
            self.seconds, looked = self.seconds + now - looked, now
            yield self._tick(moment)
            if edge or leave or due:
                self._save()
                saved = time.monotonic()
            if edge and not leave:
                yield from self._end_epoch(moment.rate)
                loss, wrong, seen = self._zeros()
                leave = self._owes_row
            looked = time.monotonic()
            if leave:
                yield Stopped(moment.step)
                return

    def _is_edge(self, step: int) -> bool:
        return step % self.each == 0 or step == self.total

    @property
    def _owes_row(self) -> bool:
        """Whether an epoch is over that was not judged, because somebody asked to stop."""
        return self.progress.seen > 0 and self._is_edge(self.progress.step)

    def _go_back(self) -> Iterator[Event]:
        for folder in (self.run.path, self.run.checkpoints):
            sweep(folder)
        state = checkpoint.newest(self.run.checkpoints)
        if state:
            for line in state.refused:
                yield Note(f"damaged, falling back: {line}")
            self.progress = checkpoint.restore(state, self.network, self.optimizer)
            yield Note(f"going on after step {self.progress.step} of {self.total}")
        self.run.rewind(self.progress.step - 1 if self.progress.seen else self.progress.step)
        if self._owes_row:
            yield from self._end_epoch(self._rate(self.progress.step - 1))

    def _zeros(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        device = self.recipe.plan.device
        kind = torch.float32 if device == "mps" else torch.float64
        start = self.progress
        return (
            torch.tensor(start.loss, dtype=kind, device=device),
            torch.tensor(start.wrong, device=device),
            start.seen,
        )

    def _rate(self, step: int) -> float:
        return rate_at(self.recipe.schedule, self.recipe.optim.rate, step, self.total)

    def _moments(self) -> Iterator[Moment]:
        recipe = self.recipe
        batches = training(
            self.dataset.train,
            recipe.arch.preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch=recipe.budget.batch,
            first=self.progress.step,
            steps=self.total,
            workers=recipe.data.workers,
            resident_bytes=recipe.data.resident_bytes,
            device=torch.device(recipe.plan.device),
        )
        judge = objective(recipe.arch.preprocess, recipe.plan, recipe.optim.smoothing)
        return train(
            self.network,
            batches,
            judge,
            optimizer=self.optimizer,
            rate_at=self._rate,
            seed=recipe.seed,
            done=self.progress.step,
        )

    def _count(self, moment: Moment, loss: float, wrong: int, seen: int) -> None:
        if not math.isfinite(loss):
            good = checkpoint.states(self.run.checkpoints)
            kept = f"{good[0]} is the last good state" if good else "nothing was saved yet"
            raise Diverged(
                f"the loss is {loss} at step {moment.step} (rate {moment.rate:.3g}): {kept}; {_CURE}"
            )
        self.images += (moment.step - self.progress.step) * moment.images
        self.progress = Progress(moment.step, loss, wrong, seen)

    def _tick(self, moment: Moment) -> Tick:
        speed = self.images / max(self.seconds, 1e-9)
        left = (self.total - moment.step) * moment.images / speed if speed else 0.0
        return Tick(
            moment.step, self.total, self.progress.loss / self.progress.seen, moment.rate, speed, left
        )

    def _save(self) -> None:
        if self.fitted:
            heap.give_back()  # a state is copied before it is written
        try:
            checkpoint.save(self.run.checkpoints, self.network, self.optimizer, self.progress)
        except NotFinite as error:
            raise Diverged(f"{error}; {_CURE}") from None

    def _end_epoch(self, rate: float) -> Iterator[Event]:
        """Judge the test images and write the row; `progress.seen` stays when asked to stop meanwhile."""
        recipe, done = self.recipe, self.progress
        batches = testing(
            self.dataset.test,
            recipe.arch.preprocess,
            batch=recipe.budget.batch if self.fitted else max(recipe.budget.batch, 250),
            workers=recipe.data.workers,
            resident_bytes=recipe.data.resident_bytes,
        )
        try:
            judged = evaluate(self.network, self._unless_asked(batches), recipe.plan)
        except _Asked:
            return
        except NotFinite as error:
            raise Diverged(f"{error} after step {done.step}; {_CURE}") from None
        self.judged = judged
        row = {
            "epoch": math.ceil(done.step / self.each),
            "step": done.step,
            "rate": rate,
            "train_loss": done.loss / done.seen,
            "train_error": 100 * done.wrong / done.seen,
            "test_loss": judged.loss,
            "test_error": 100 * judged.wrong / len(judged.labels),
            "images_per_second": round(self.images / self.seconds, 1) if self.seconds else None,
        }
        self.progress = replace(done, loss=0.0, wrong=0, seen=0)
        self.run.append(row)
        if (
            done.step == self.total
        ):  # the last state still owes its row, so that a crash before this line is made good
            self.run.finish(row)
        else:
            self._save()
        yield Row(row, math.ceil(self.total / self.each))

    def _unless_asked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self.stop():
                raise _Asked
            yield batch
