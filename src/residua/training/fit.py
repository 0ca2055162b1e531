"""The edge of training: takes the loop's Moments, counts, evaluates, saves, stops; tells it by Events."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import nn

from residua.data.batches import Batch
from residua.errors import DivergedError, NonFiniteError, NonFiniteStepError
from residua.nn import device, malloc
from residua.nn.device import memory_bytes
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.checkpoint import Progress
from residua.runs.run import Run
from residua.training import compiling, memory, optim
from residua.training.average import recalibrate_batch_norms
from residua.training.epoch_totals import Tally
from residua.training.events import EpochRow, Event, Note, Stopped, Tick
from residua.training.keeping import Keeper
from residua.training.loop import Moment, train
from residua.training.losses import LossFn, weighted
from residua.training.nonfinite import agreed, first_bad_layer, fitting, of_worker
from residua.training.prefetch import Prefetcher, StopRequested, in_rounds
from residua.training.processes.world import ALONE, World
from residua.training.schedule import length
from residua.training.task import Dataset, ValidationResult, LearnTask

LOOKS = 20
"""Where a look at the loss waits for an accelerator, only every so many steps."""

_CURE = "try a lower --set optim.lr"


class Fit:
    """One process training a run, alone or beside others, with all it holds; `events()` does the work."""

    def __init__(
        self,
        run: Run,
        network: Network,
        sets: Dataset,
        task: LearnTask,
        *,
        stop: Callable[[], bool],
        world: World = ALONE,
    ) -> None:
        """`network` is the run's, fresh; `task` opened `sets`; `stop()` is asked after every step.

        ValueError when the processes are more than the images of a batch.
        """
        self.run, self.sets, self.task, self.stop, self.world = run, sets, task, stop, world
        recipe = world.share(lambda: run.recipe)
        self.plan = replace(recipe.plan, device=world.device(recipe.plan.device))
        self.recipe = recipe = replace(recipe, plan=self.plan)
        self.batch = min(recipe.budget.batch_size, len(sets.train))
        self.share = world.images(self.batch)
        self.chance = recipe.seed + (world.rank << 20)  # one dropout for all processes would be less of it
        self.network = device.place_network(network, self.plan)
        self.fitted = memory.fit_run(self.network, recipe, resident_bytes=task.resident_bytes(sets, recipe, self.plan))
        self.learner: nn.Module = self.network
        self.optimizer = optim.make(self.network, recipe.optim, fused=self.plan.fused)
        self.keeper = Keeper(run, recipe, self.network, world)
        compiling.compiled(self.network, self.plan)
        self.each, self.total = length(recipe, len(sets.train))
        self.judged: ValidationResult | None = None
        self.skipped = 0
        self.tally = Tally(Progress(), device=self.plan.device, world=world)

    def events(self) -> Iterator[Event]:
        """Train from the newest good state to the end, or until `stop()` on any process.

        DivergedError when the loss is no longer finite. Only one world at a time: its rank 0 holds `run.lock()`.
        """
        while True:
            try:
                with memory.kept(self.plan):
                    yield from self._on()
            except NonFiniteStepError as error:
                yield Note(self.keeper.roll_back(error))
            except RuntimeError as error:
                raise of_worker(error, after=self.tally.progress.step) from None
            except StopRequested:
                yield Stopped(self.tally.progress.step)
                return
            else:
                return

    def _on(self) -> Iterator[Event]:
        """`events`, but for going back."""
        yield from self._go_back()
        if self.keeper.gives_up():
            yield Note(self.keeper.gave_up)
            return
        if self._owes_row:
            yield Stopped(self.tally.progress.step)
            return
        often = 1 if self.plan.device == "cpu" else LOOKS
        self._prepare()
        saved = looked = time.monotonic()
        done, workers = self.tally.progress.step, self.recipe.data.num_workers
        feed = Prefetcher(self._batches(done, self.total, workers=workers), self.world)
        for moment in self._moments(feed):
            self.keeper.after(self.network, moment.step)
            self.tally.add(moment)
            edge = self._is_edge(moment.step)
            leave, due = self.world.any(
                not feed.comes() or self.stop(), time.monotonic() - saved > self.recipe.budget.save_seconds
            )
            if not (edge or leave or due or moment.step % often == 0):
                continue
            self._check(moment)
            self.tally.fold(moment.step, time.monotonic() - looked)
            yield from self._tick(moment)
            if edge or leave or due:
                self._save()
                saved = time.monotonic()
            if edge and not leave:
                yield from self._end_epoch(moment.rate)
                leave = self._owes_row
                if self.keeper.gives_up():
                    yield Note(self.keeper.gave_up)
                    return
            looked = time.monotonic()
            if leave:
                yield Stopped(moment.step)
                return

    def _prepare(self) -> None:
        """The learner, and something to go back to, where that may be wanted."""
        if self.learner is self.network:  # else training went back
            self.learner = self.world.spread(self.network, sync_norm=self.plan.sync_norm)
        self.learner.train()
        if self.recipe.optim.on_nonfinite == "rollback" and not self.tally.progress.step:
            self._save()

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
        state, refused = self.world.share(self.keeper.newest)
        for line in refused:
            yield Note(line)
        if state:
            done = checkpoint.restore(state, self.network, self.optimizer)
            self.tally = Tally(done, device=self.plan.device, world=self.world)
            if done.step > self.total:
                said = f"{self.run.path} has made {done.step} updates, its recipe wants {self.total}"
                raise ValueError(f"{said}: give it a longer budget in recipe.json")
            yield Note(f"going on after step {done.step} of {self.total}")
        for line in self.keeper.go_back(state, self.tally.progress):
            yield Note(line)
        if self._owes_row:
            yield from self._end_epoch(self._rate(self.tally.progress.step - 1))

    def _rate(self, step: int) -> float:
        return self.keeper.rate(step, self.total)

    def _batches(self, first: int, steps: int, *, workers: int) -> Iterator[Batch]:
        return self.task.batches(
            self.sets,
            self.recipe,
            first=first,
            steps=steps,
            workers=workers,
            world=self.world,
            device=self.plan.device,
        )

    def _moments(self, batches: Iterable[Batch]) -> Iterator[Moment]:
        recipe, done = self.recipe, self.tally.progress.step
        moments = train(
            self.learner,
            batches,
            self._loss_fn(),
            optimizer=self.optimizer,
            lr_at=self._rate,
            seed=self.chance,
            done=done,
            accumulate=recipe.budget.accumulate,
            clip=recipe.optim.grad_clip,
            ready=optim.ready(recipe.optim),
            skip=self.world.either if recipe.optim.on_nonfinite == "skip" else None,
        )
        return fitting(moments, share=self.share, batch=self.batch, device=self.plan.device)

    def _loss_fn(self) -> LossFn:
        """What a batch teaches, so that the mean over processes is the mean over all images of the step."""
        judge = self.task.loss_fn(self.sets, self.recipe, self.plan)
        return weighted(judge, self.world.size * self.share / self.batch)

    def _recount(self) -> None:
        """Count the norms' statistics anew, if the recipe wants that, on the first batches of the run.

        Asked when somebody asks to stop meanwhile: what was saved before counts anew when it goes on.
        """
        many = -(-self.recipe.average.bn_recalibration_images // self.recipe.budget.batch_size)
        for network in filter(None, (self.network, self.keeper.network) if many else ()):
            batches = islice(self._batches(0, self.total, workers=0), many)
            with compiling.uncompiled(self.plan):
                recalibrate_batch_norms(
                    network, in_rounds(batches, many, world=self.world, stop=self.stop), self.plan
                )
        if many:
            self._save()

    def _check(self, moment: Moment) -> None:
        """DivergedError, saying where, when a loss or gradient was not finite; the weights are those before."""
        if not (bad := int(max(self.world.gather([int(moment.bad)])))):
            return
        batch = next(self._batches(bad - 1, self.total, workers=0))
        optim.ready(self.recipe.optim)(self.network)
        with compiling.uncompiled(self.plan):
            layer = first_bad_layer(self.network, batch, self._loss_fn(), seed=self.chance, step=bad - 1)
        where = agreed(layer, batch, self.sets.train, step=bad, run=self.run, world=self.world)
        good = [f"{path} is the last good state" for path in checkpoint.states(self.run.checkpoints)]
        good += ["nothing was saved yet"]
        raise NonFiniteStepError(f"{where}; {good[0]}; {_CURE}, which was {self._rate(bad - 1):.3g}")

    def _tick(self, moment: Moment) -> Iterator[Event]:
        if (skipped := int(moment.skipped)) > self.skipped:
            yield Note(f"{skipped} updates left out up to step {moment.step}: no finite loss or gradient")
        self.skipped = skipped
        done, speed = self.tally.progress, self.tally.speed
        left = (self.total - moment.step) * self.batch / speed if speed else 0.0
        yield Tick(
            moment.step,
            self.total,
            done.loss / done.seen,
            moment.rate,
            speed,
            left,
            memory_bytes(self.plan.device),
        )

    def _save(self) -> None:
        if self.fitted:
            malloc.give_back()  # a state is copied before it is written
        keeper = self.keeper
        given = (self.run.checkpoints, self.network, self.optimizer, self.tally.progress, keeper.network)
        try:
            self.world.share(lambda: checkpoint.save(*given, rows=keeper.kept_rows))
        except NonFiniteError as error:
            raise DivergedError(f"{error}; {_CURE}") from None

    def _end_epoch(self, rate: float) -> Iterator[Event]:
        """Judge the test images and write the row; `progress.seen` stays when asked to stop meanwhile."""
        done = self.tally.progress
        try:
            if done.step == self.total:
                self._recount()
            judged = self._judge(self.network)
            mean = self._judge(self.keeper.network) if self.keeper.network else None
        except StopRequested:
            return
        except NonFiniteError as error:
            raise DivergedError(f"{error} after step {done.step}; {_CURE}") from None
        self.judged = mean or judged
        row = {
            "epoch": math.ceil(done.step / self.each),
            "step": done.step,
            "rate": rate,
            "train_loss": done.loss / done.seen,
            **({"train_error": 100 * done.wrong / done.seen} if self.task.counts_wrong else {}),
            **judged.row(),
            "images_per_second": round(self.tally.speed, 1) or None,
        }
        if mean:
            row |= {f"ema_{name}": value for name, value in mean.row().items()}
        self.tally.close()
        self.keeper.epoch(row, self.network)
        last = done.step == self.total or self.keeper.gives_up()
        self.world.share(lambda: self._write(row, last=last))
        if not last:
            self._save()
        yield EpochRow(row, math.ceil(self.total / self.each))

    def _write(self, row: dict[str, Any], *, last: bool) -> None:
        self.run.append(row)
        if last:  # the last state still owes its row: a crash before this is made good
            self.run.finish(row)

    def _judge(self, network: Network) -> ValidationResult:
        self.learner.eval()
        with compiling.uncompiled(self.plan):
            return self.task.validate(
                network, self.sets, self.recipe, plan=self.plan, world=self.world, stop=self.stop
            )
