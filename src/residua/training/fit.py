"""The edge of training: takes the loop's Moments, counts, evaluates, saves, stops; tells it by Events."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from residua.data.batches import Batch, training
from residua.data.sampler import steps_per_epoch
from residua.data.sources import Dataset
from residua.measure.evaluate import Judgement, NotFinite
from residua.nn.network import Network, build
from residua.spec.recipe import Recipe
from residua.training import checkpoint, optim, plan
from residua.training.checkpoint import Progress, State
from residua.training.events import Event, Note, Row, Stopped, Tick
from residua.training.judging import Asked, judge, together
from residua.training.loop import Moment, Objective, objective, train
from residua.training.run import Diverged, Run
from residua.training.schedule import rate_at
from residua.training.tally import Tally
from residua.training.world import ALONE, World
from residua.weights.load import load
from residua.weights.store import CheckpointError, sweep

LOOKS = 20
"""Where a look at the loss waits for an accelerator, only every so many steps."""

_CURE = "try a lower --set optim.rate"


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
    """One process training a run, alone or beside others, with all it holds; `events()` does the work."""

    def __init__(
        self,
        run: Run,
        network: Network,
        dataset: Dataset,
        *,
        stop: Callable[[], bool],
        world: World = ALONE,
    ) -> None:
        """`network` is the run's, fresh; `stop()` is asked after every step whether to leave.

        ValueError when the processes are more than the images of a batch.
        """
        self.run, self.dataset, self.stop, self.world = run, dataset, stop, world
        self.recipe = recipe = world.share(lambda: run.recipe)
        self.plan = replace(recipe.plan, device=world.device(recipe.plan.device))
        self.batch = min(recipe.budget.batch, len(dataset.train))
        self.share = world.images(self.batch)
        self.network = plan.place(network, self.plan)
        self.learner: nn.Module = self.network
        self.optimizer = optim.make(self.network, recipe.optim)
        self.each, self.total = length(recipe, len(dataset.train))
        self.judged: Judgement | None = None
        self.tally = self._tally(Progress())

    def events(self) -> Iterator[Event]:
        """Train from the newest good state to the end, or until `stop()` on any process.

        Diverged when the loss is no longer finite. Only one world at a time: its rank 0 holds `run.lock()`.
        """
        yield from self._go_back()
        if self._owes_row:
            yield Stopped(self.tally.progress.step)
            return
        often = 1 if self.plan.device == "cpu" else LOOKS
        self.learner = self.world.spread(self.network, sync_norm=self.plan.sync_norm).train()
        saved = looked = time.monotonic()
        for moment in self._moments():
            self.tally.add(moment)
            edge = self._is_edge(moment.step)
            leave, due = self.world.any(
                self.stop(), time.monotonic() - saved > self.recipe.budget.save_seconds
            )
            if not (edge or leave or due or moment.step % often == 0):
                continue
            self._count(moment, time.monotonic() - looked)
            yield self._tick(moment)
            if edge or leave or due:
                self._save()
                saved = time.monotonic()
            if edge and not leave:
                yield from self._end_epoch(moment.rate)
                leave = self._owes_row
            looked = time.monotonic()
            if leave:
                yield Stopped(moment.step)
                return

    def _tally(self, start: Progress) -> Tally:
        return Tally(start, device=self.plan.device, world=self.world)

    def _is_edge(self, step: int) -> bool:
        return step % self.each == 0 or step == self.total

    @property
    def _owes_row(self) -> bool:
        """Whether an epoch is over that was not judged, because somebody asked to stop."""
        return self.tally.progress.seen > 0 and self._is_edge(self.tally.progress.step)

    def _go_back(self) -> Iterator[Event]:
        if self.world.restarts:
            yield Note(
                f"a process died or stalled: all {self.world.size} start again ({self.world.restarts})"
            )
        state, refused = self.world.share(self._newest)
        for line in refused:
            yield Note(f"damaged, falling back: {line}")
        if state:
            self.tally = self._tally(checkpoint.restore(state, self.network, self.optimizer))
            yield Note(f"going on after step {self.tally.progress.step} of {self.total}")
        done = self.tally.progress
        self.world.share(lambda: self.run.rewind(done.step - 1 if done.seen else done.step))
        if self._owes_row:
            yield from self._end_epoch(self._rate(done.step - 1))

    def _newest(self) -> tuple[State | None, tuple[str, ...]]:
        """The newest good state, or none to begin anew, and what is wrong with those passed over."""
        for folder in (self.run.path, self.run.checkpoints):
            sweep(folder)
        try:
            state = checkpoint.newest(self.run.checkpoints)
        except CheckpointError as error:
            return None, (f"{error}; beginning again with the first step",)
        return state, state.refused if state else ()

    def _rate(self, step: int) -> float:
        return rate_at(self.recipe.schedule, self.recipe.optim.rate, step, self.total)

    def _moments(self) -> Iterator[Moment]:
        recipe, done = self.recipe, self.tally.progress.step
        batches = training(
            self.dataset.train,
            recipe.arch.preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch=recipe.budget.batch,
            first=done,
            steps=self.total,
            workers=recipe.data.workers,
            resident_bytes=recipe.data.resident_bytes,
            rank=self.world.rank,
            world=self.world.size,
            device=torch.device(self.plan.device),
        )
        chance = recipe.seed + (self.world.rank << 20)  # one dropout for all processes would be less of it
        moments = train(
            self.learner,
            together(batches, self.world),
            self._objective(),
            optimizer=self.optimizer,
            rate_at=self._rate,
            seed=chance,
            done=done,
        )
        try:
            yield from moments
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
                raise self._too_big() from None
            raise

    def _too_big(self) -> MemoryError:
        tried = f"a batch of {self.share} images does not fit into the memory of {self.plan.device}"
        half = max(2, self.batch // 2)
        return MemoryError(f"{tried}: train with --set budget.batch={half}, or with more processes")

    def _objective(self) -> Objective:
        """What a batch teaches, so that the mean over processes is the mean over all images of the step."""
        judge = objective(self.recipe.arch.preprocess, self.plan, self.recipe.optim.smoothing)
        weight = self.world.size * self.share / self.batch
        if weight == 1:
            return judge

        def weighted(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
            loss, wrong = judge(network, batch)
            return weight * loss + ((1 - weight) * loss).detach(), wrong  # the loss, with a weighted gradient

        return weighted

    def _count(self, moment: Moment, seconds: float) -> None:
        loss = self.tally.fold(moment.step, seconds).loss
        if not math.isfinite(loss):
            good = checkpoint.states(self.run.checkpoints)
            kept = f"{good[0]} is the last good state" if good else "nothing was saved yet"
            raise Diverged(
                f"the loss is {loss} at step {moment.step} (rate {moment.rate:.3g}): {kept}; {_CURE}"
            )

    def _tick(self, moment: Moment) -> Tick:
        done, speed = self.tally.progress, self.tally.speed
        left = (self.total - moment.step) * self.batch / speed if speed else 0.0
        return Tick(moment.step, self.total, done.loss / done.seen, moment.rate, speed, left)

    def _save(self) -> None:
        done = self.tally.progress
        try:
            self.world.share(
                lambda: checkpoint.save(self.run.checkpoints, self.network, self.optimizer, done)
            )
        except NotFinite as error:
            raise Diverged(f"{error}; {_CURE}") from None

    def _end_epoch(self, rate: float) -> Iterator[Event]:
        """Judge the test images and write the row; `progress.seen` stays when asked to stop meanwhile."""
        done = self.tally.progress
        try:
            self.learner.eval()
            judged = judge(
                self.network, self.dataset.test, self.recipe, plan=self.plan, world=self.world, stop=self.stop
            )
        except Asked:
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
            "images_per_second": round(self.tally.speed, 1) or None,
        }
        self.tally.close()
        self.world.share(lambda: self._write(row))
        if done.step < self.total:
            self._save()
        yield Row(row, math.ceil(self.total / self.each))

    def _write(self, row: dict[str, Any]) -> None:
        self.run.append(row)
        if row["step"] == self.total:  # the last state still owes its row: a crash before this is made good
            self.run.finish(row)
