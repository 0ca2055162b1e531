"""The edge of training: takes the loop's Moments, counts, evaluates, saves, stops; tells it by Events."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from residua.data.batches import Batch, testing, training
from residua.data.sampler import steps_per_epoch
from residua.data.sources import Dataset
from residua.measure.evaluate import Judgement, NotFinite, evaluate
from residua.nn.network import Network, build
from residua.spec.recipe import Recipe
from residua.training import checkpoint, optim, plan, translate, world
from residua.training.average import recount
from residua.training.checkpoint import Progress
from residua.training.events import Event, Note, Row, Stopped, Tick
from residua.training.guard import first_bad_layer, told
from residua.training.keeping import Keeper
from residua.training.loop import Moment, train
from residua.training.losses import taught
from residua.training.run import Diverged, Run
from residua.training.schedule import rate_at
from residua.weights.load import load
from residua.weights.store import sweep

_CURE = "try a lower --set optim.rate"


class _Asked(Exception):
    """Somebody asked to stop while images were being judged."""


def initial(
    recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
) -> Network:
    """The recipe's network with its first weights: those its seed draws, or those of its file.

    `listen` is told in one line what was read from the file. ValueError when its norms are to stay as they
    are and it has no file.
    """
    if recipe.optim.frozen_norms and not recipe.weights:
        raise ValueError("optim.frozen_norms keeps the statistics of trained weights: give --weights")
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch)
    network.class_names = classes
    if recipe.weights:
        listen(load(network, checkpoint.weights_at(Path(recipe.weights))))
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
        self.optimizer = optim.make(self.network, self.recipe.optim, fused=self.recipe.plan.fused)
        self.keeper = Keeper(run, self.recipe, self.network)
        translate.compiled(self.network, self.recipe.plan)
        self.judge = taught(self.recipe, self.recipe.plan, dataset.train)
        self.each, self.total = length(self.recipe, len(dataset.train))
        self.progress = Progress()
        self.judged: Judgement | None = None
        self.seconds, self.images = 0.0, 0

    def events(self) -> Iterator[Event]:
        """Train from the newest good state to the end, or until `stop()`.

        Diverged when the loss is no longer finite. Only one process at a time: hold `run.lock()`.
        """
        yield from self._go_back()
        if self.keeper.gives_up():
            return
        if self._owes_row:
            yield Stopped(self.progress.step)
            return
        every = (
            1 if self.recipe.plan.device == "cpu" else 20
        )  # elsewhere each look at the loss waits for the device
        loss, wrong, seen = self._zeros()
        saved = looked = time.monotonic()
        for moment in self._moments():
            self.keeper.after(self.network, moment.step)
            loss += moment.loss.to(loss.dtype) * moment.images
            wrong += moment.wrong
            seen += moment.images
            edge = self._is_edge(moment.step)
            leave = self.stop()
            due = time.monotonic() - saved > self.recipe.budget.save_seconds
            if not (edge or leave or due or moment.step % every == 0):
                continue
            self._check(moment)
            self._count(moment, float(loss), int(wrong), seen)
            now = time.monotonic()
            self.seconds, looked = self.seconds + now - looked, now
            yield self._tick(moment)
            if moment.step == self.total:
                self._recount()
            if edge or leave or due:
                self._save()
                saved = time.monotonic()
            if edge and not leave:
                yield from self._end_epoch(moment.rate)
                loss, wrong, seen = self._zeros()
                leave = self._owes_row
                if self.keeper.gives_up():
                    return
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
        self.keeper.go_back(state)
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
        past = self.keeper.past
        return rate_at(self.recipe.schedule, self.recipe.optim.rate, step, self.total, past=past)

    def _batches(self, first: int, steps: int, *, workers: int) -> Iterator[Batch]:
        recipe = self.recipe
        return training(
            self.dataset.train,
            recipe.arch.preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch=recipe.budget.batch,
            first=first,
            steps=steps,
            workers=workers,
            resident_bytes=recipe.data.resident_bytes,
            equally=recipe.data.balance == "sample",
            device=torch.device(recipe.plan.device),
        )

    def _moments(self) -> Iterator[Moment]:
        recipe = self.recipe
        return train(
            self.network,
            self._batches(self.progress.step, self.total, workers=recipe.data.workers),
            self.judge,
            optimizer=self.optimizer,
            rate_at=self._rate,
            seed=recipe.seed,
            done=self.progress.step,
            accumulate=recipe.budget.accumulate,
            clip=recipe.optim.clip,
            ready=optim.ready(recipe.optim),
        )

    def _recount(self) -> None:
        """Count the norms' statistics anew, if the recipe wants that, on the first batches of the run."""
        many = -(-self.recipe.average.recount // self.recipe.budget.batch)
        for network in (self.network, self.keeper.network):
            if many and network:
                batches = islice(self._batches(0, self.total, workers=0), many)
                with translate.uncompiled(self.recipe.plan):
                    recount(network, batches, self.recipe.plan)

    def _check(self, moment: Moment) -> None:
        """Diverged, saying where, when a loss or gradient was not finite; the weights are those before."""
        if bad := int(moment.bad):
            batch = next(self._batches(bad - 1, self.total, workers=0))
            optim.ready(self.recipe.optim)(self.network)
            with translate.uncompiled(self.recipe.plan):
                layer = first_bad_layer(self.network, batch, self.judge, seed=self.recipe.seed, step=bad - 1)
            where = told(self.run, batch, self.dataset.train, step=bad, layer=layer)
            raise Diverged(f"{where} (rate {self._rate(bad - 1):.3g}): {self._kept()}; {_CURE}")

    def _kept(self) -> str:
        good = checkpoint.states(self.run.checkpoints)
        return f"{good[0]} is the last good state" if good else "nothing was saved yet"

    def _count(self, moment: Moment, loss: float, wrong: int, seen: int) -> None:
        self.images += (moment.step - self.progress.step) * moment.images
        self.progress = Progress(moment.step, loss, wrong, seen)

    def _tick(self, moment: Moment) -> Tick:
        speed = self.images / max(self.seconds, 1e-9)
        left = (self.total - moment.step) * moment.images / speed if speed else 0.0
        return Tick(
            moment.step,
            self.total,
            self.progress.loss / self.progress.seen,
            moment.rate,
            speed,
            left,
            world.memory_bytes(self.recipe.plan.device),
        )

    def _save(self) -> None:
        try:
            checkpoint.save(
                self.run.checkpoints, self.network, self.optimizer, self.progress, self.keeper.network
            )
        except NotFinite as error:
            raise Diverged(f"{error}; {_CURE}") from None

    def _end_epoch(self, rate: float) -> Iterator[Event]:
        """Judge the test images and write the row; `progress.seen` stays when asked to stop meanwhile."""
        done = self.progress
        try:
            judged = self._judge(self.network)
            mean = self._judge(self.keeper.network) if self.keeper.network else None
        except _Asked:
            return
        except NotFinite as error:
            raise Diverged(f"{error} after step {done.step}; {_CURE}") from None
        self.judged = mean or judged
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
        if mean:
            row |= {"ema_test_loss": mean.loss, "ema_test_error": 100 * mean.wrong / len(mean.labels)}
        self.progress = replace(done, loss=0.0, wrong=0, seen=0)
        self.keeper.epoch(row, self.network)
        self.run.append(row)
        if done.step == self.total or self.keeper.gives_up():
            # the last state still owes its row, so that a crash before this line is made good
            self.run.finish(row)
        else:
            self._save()
        yield Row(row, math.ceil(self.total / self.each))

    def _judge(self, network: Network) -> Judgement:
        recipe = self.recipe
        batches = testing(
            self.dataset.test,
            recipe.arch.preprocess,
            batch=max(recipe.budget.batch, 250),
            workers=recipe.data.workers,
            resident_bytes=recipe.data.resident_bytes,
        )
        with translate.uncompiled(recipe.plan):
            return evaluate(network, self._unless_asked(batches), recipe.plan)

    def _unless_asked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self.stop():
                raise _Asked
            yield batch
