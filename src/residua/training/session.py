"""TrainingSession: trains a run in this process, alone or as one of several, and reports Events.

    resume       newest state without damage -> network, optimiser, epoch totals, history
    each step    loop.train updates; totals are summed on the device
    reading      every step on a CPU, the first and every READ_EVERY on an accelerator, and when a state is
                 due or a stop is requested: read the loss, check it, report StepProgress
    epoch end    validate -> append metrics, save best weights -> save; before the validation, too, where a
                 state is due or the epoch may be the last
    on NaN       stop, skip, or roll back to the newest state (optim.on_nonfinite)
    on request   finish the step, save, end with Stopped; an epoch that lacks its validation is validated on
                 resume

All processes take the same branches, because each decision is made from values that all of them share.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import nn

from residua.data.batches import Batch
from residua.data.dataset import Dataset
from residua.errors import ConfigError, DivergedError, NonFiniteError, NonFiniteStepError
from residua.events import EpochRow, Event, Note, StepProgress, Stopped
from residua.nn import device, malloc
from residua.nn.device import memory_bytes
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.checkpoint import Progress
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.training import compiling, memory, optim
from residua.training.average import recalibrate_batch_norms
from residua.training.epoch_totals import EpochTotals
from residua.training.history import RunHistory
from residua.training.learn_task import AnyLearnTask, ValidationResult
from residua.training.loop import Moment, train
from residua.training.losses import LossFn, weighted
from residua.training.nonfinite import (
    describe_nonfinite,
    explain_out_of_memory,
    explain_worker_death,
    first_nonfinite_layer,
)
from residua.training.prefetch import Prefetcher, StopRequested, in_lockstep
from residua.training.processes.world import SINGLE_PROCESS, World
from residua.training.schedule import run_length
from residua.training.time_left import TimeLeft
from residua.training.whitening import whiten_from_images

READ_EVERY = 20
"""Steps between two readings of the loss on an accelerator, for which the host waits."""

_REMEDY = "try a lower --set optim.lr"


class TrainingSession:
    """One process that trains a run; `events()` does the work."""

    def __init__(
        self,
        run: Run,
        network: Network,
        dataset: Dataset,
        task: AnyLearnTask,
        *,
        stop: Callable[[], bool],
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Prepare a session.

        Args:
            run: The run directory; process 0 holds its lock.
            network: The run's network with its initial weights.
            dataset: The examples that `task` opened.
            task: What training needs to know about the data.
            stop: True once the user asked to stop; asked after every step.
            world: The processes that train together.

        Raises:
            ConfigError: There are more processes than images in a batch.
            DoesNotFitError: The memory limit is too small.
        """
        self.run, self.dataset, self.task, self.stop, self.world = run, dataset, task, stop, world
        recipe = world.run_on_main(lambda: run.recipe)
        self.plan = replace(recipe.plan, device=world.local_device(recipe.plan.device))
        self.recipe = recipe = replace(recipe, plan=self.plan)
        self.batch_size = min(recipe.budget.batch_size, len(dataset.train))
        self.local_batch_size = world.local_batch_size(self.batch_size)
        self.seed = recipe.seed + (world.rank << 20)  # processes draw different dropout masks
        self.network = device.place_network(network, self.plan)
        if recipe.optim.whiten_stem:
            whiten_from_images(self.network, self.task, self.dataset, recipe)
        self.memory_plan = memory.limit_run_memory(
            self.network, recipe, resident_bytes=task.resident_bytes(dataset, recipe, self.plan)
        )
        self.learner: nn.Module = self.network  # wrapped by `_prepare` when several processes train
        self.optimizer = optim.make_optimizer(self.network, recipe.optim, fused=self.plan.fused)
        self.history = RunHistory(run, recipe, self.network, world)
        compiling.compile_network(self.network, self.plan)
        self.steps_per_epoch, self.total = run_length(recipe, len(dataset.train))
        self.validation: ValidationResult | None = None
        self.num_skipped = 0
        self.totals = EpochTotals(Progress(), device=self.plan.device, world=world)
        self.time_left = self._predict_from(0)

    def events(self) -> Iterator[Event]:
        """Train from the newest state without damage to the end, or until `stop()` is true on any process.

        Yields:
            Notes, progress, finished epochs; Stopped at the end of a session that was stopped.

        Raises:
            DivergedError: The loss, a gradient or a weight is NaN or infinite.
            WorkerDiedError: A loader worker died.
            MemoryError: A batch does not fit into memory.
        """
        while True:
            try:
                with memory.retain_freed_memory(self.plan):
                    yield from self._train()
            except NonFiniteStepError as error:
                yield Note(self.history.roll_back(error))
            except RuntimeError as error:
                raise explain_worker_death(error, after=self.totals.progress.step) from None
            except StopRequested:
                yield Stopped(self.totals.progress.step)
                return
            else:
                return

    def _train(self) -> Iterator[Event]:
        """Train until the end, a stop or a rollback."""
        yield from self._resume()
        if not self.total or self.history.stops_early() or self._lacks_validation:
            yield from self._end_without_training()
            return
        read_every = 1 if self.plan.device == "cpu" else READ_EVERY
        self._prepare()
        first = self.totals.progress.step + 1
        self.time_left = self._predict_from(first - 1)
        saved = last_read = time.monotonic()
        batches = Prefetcher(
            self._batches(self.totals.progress.step, self.total, workers=self.recipe.data.num_workers),
            self.world,
        )
        for moment in self._moments(batches):
            self.history.after_step(self.network, moment.step)
            self.totals.add(moment)
            ends_epoch = self._ends_epoch(moment.step)
            leave, save_is_due = self.world.any(
                not batches.fetch() or self.stop(),
                time.monotonic() - saved > self.recipe.budget.save_seconds,
            )
            is_read = moment.step == first or moment.step % read_every == 0
            if not (ends_epoch or leave or save_is_due or is_read):
                continue
            self._check_finite(moment)
            took = time.monotonic() - last_read
            self.totals.fold(moment.step, took)
            self.time_left.add_steps(moment.step, took)
            yield from self._report(moment)
            began = time.monotonic()
            may_be_last = moment.step == self.total or (ends_epoch and self.recipe.budget.patience > 0)
            if leave or save_is_due or may_be_last:
                self._save()
                saved = time.monotonic()
            if ends_epoch and not leave:
                yield from self._end_epoch(moment.lr)
                self.time_left.add_epoch_end(time.monotonic() - began)
                saved = time.monotonic()
                leave = self._lacks_validation
                if self.history.stops_early():
                    yield Note(self.history.early_stop_note)
                    return
            elif save_is_due:
                self.time_left.add_save(saved - began)
            last_read = time.monotonic()
            if leave:
                yield Stopped(moment.step)
                return

    def _predict_from(self, step: int) -> TimeLeft:
        """A prediction of the time after `step` steps."""
        networks = 2 if self.history.ema else 1
        return TimeLeft(
            total=self.total,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            validation_images=networks * len(self.dataset.test),
            save_seconds=self.recipe.budget.save_seconds,
            start=step,
        )

    def _prepare(self) -> None:
        """Wrap the network for several processes; save a first state if training may roll back to it."""
        if self.learner is self.network:  # else wrapped before a rollback
            self.learner = self.world.data_parallel(self.network, sync_norm=self.plan.sync_norm)
        self.learner.train()
        if self.recipe.optim.on_nonfinite == "rollback" and not self.totals.progress.step:
            self._save()

    def _ends_epoch(self, step: int) -> bool:
        return step % self.steps_per_epoch == 0 or step == self.total

    @property
    def _lacks_validation(self) -> bool:
        """Whether an epoch ended without validation, because the user asked to stop."""
        return self.totals.progress.num_images > 0 and self._ends_epoch(self.totals.progress.step)

    def _resume(self) -> Iterator[Event]:
        """Continue from the newest state without damage, or begin with the first step."""
        if self.world.restarts:
            yield Note(
                f"a process died or stalled: all {self.world.size} start again ({self.world.restarts})"
            )
        state, notes = self.world.run_on_main(self.history.load_newest)
        for line in notes:
            yield Note(line)
        if state:
            progress = checkpoint.restore(state, self.network, self.optimizer)
            self.totals = EpochTotals(progress, device=self.plan.device, world=self.world)
            if progress.step > self.total:
                message = (
                    f"{self.run.path} has made {quantity(progress.step, 'update')}, "
                    f"its recipe has {self.total}"
                )
                raise ConfigError(f"{message}: give it a longer budget in recipe.json")
            yield Note(f"continuing after step {progress.step} of {self.total}")
        for line in self.history.restore(state, self.totals.progress):
            yield Note(line)
        if not state and self.recipe.probe != "off":
            yield from self._evaluate_start()
        if self._lacks_validation:
            yield from self._end_epoch(self._lr(self.totals.progress.step - 1))

    def _evaluate_start(self) -> Iterator[Event]:
        """Epoch 0: evaluate the weights before the first step, on the training examples, too.

        Raises:
            StopRequested: The user asked to stop; nothing is saved, so that resuming does it again.
        """
        trained = self._validate(self.network, replace(self.dataset, test=self.dataset.train)).row()  # type: ignore[type-var]
        numbers = self._validation_numbers()
        row: dict[str, Any] = {"epoch": 0, "step": 0, "lr": 0.0, "train_loss": trained["test_loss"]}
        row |= {"train_error": trained["test_error"], **numbers, "images_per_second": None}
        self.history.add_epoch(row, self.network)
        self.world.run_on_main(lambda: self.run.append_metrics(row))
        self._save()
        yield self._epoch_event(row)

    def _end_without_training(self) -> Iterator[Event]:
        """The end of a run without updates, of one that stopped early, or of a session that was stopped."""
        if not self.total:
            self.world.run_on_main(lambda: self.run.mark_finished(self.history.rows[-1]))
        elif self.history.stops_early():
            yield Note(self.history.early_stop_note)
        else:
            yield Stopped(self.totals.progress.step)

    def _lr(self, step: int) -> float:
        return self.history.lr(step, self.total)

    def _batches(self, first: int, steps: int, *, workers: int) -> Iterator[Batch]:
        return self.task.batches(
            self.dataset,
            self.recipe,
            first=first,
            steps=steps,
            workers=workers,
            world=self.world,
            device=self.plan.device,
        )

    def _moments(self, batches: Iterable[Batch]) -> Iterator[Moment]:
        recipe = self.recipe
        moments = train(
            self.learner,
            batches,
            self._loss_fn(),
            optimizer=self.optimizer,
            lr_at=self._lr,
            seed=self.seed,
            done=self.totals.progress.step,
            accumulate=recipe.budget.accumulate,
            grad_clip=recipe.optim.grad_clip,
            train_mode=optim.train_mode(recipe.optim),
            skip=self.world.any_on_device if recipe.optim.on_nonfinite == "skip" else None,
        )
        return explain_out_of_memory(
            moments, share=self.local_batch_size, batch=self.batch_size, device=self.plan.device
        )

    def _loss_fn(self) -> LossFn:
        """The task's loss, weighted so that the mean over processes is the mean over all images of a step."""
        loss_fn = self.task.loss_fn(self.dataset, self.recipe, self.plan)
        return weighted(loss_fn, self.world.size * self.local_batch_size / self.batch_size)

    def _recalibrate_batch_norms(self) -> None:
        """Recompute the statistics of batch norms over the first batches of the run, if the recipe asks for
        it.

        Raises:
            StopRequested: The user asked to stop; the state saved before recomputes them on resume.
        """
        count = -(-self.recipe.average.bn_recalibration_images // self.recipe.budget.batch_size)
        for network in filter(None, (self.network, self.history.ema_network) if count else ()):
            batches = islice(self._batches(0, self.total, workers=0), count)
            with compiling.uncompiled(self.plan):
                recalibrate_batch_norms(
                    network, in_lockstep(batches, count, world=self.world, stop=self.stop), self.plan
                )
        if count:
            self._save()

    def _check_finite(self, moment: Moment) -> None:
        """NonFiniteStepError when a loss or gradient was NaN or infinite; the weights are those before."""
        if not (step := int(max(self.world.gather([int(moment.nonfinite_step)])))):
            return
        batch = next(self._batches(step - 1, self.total, workers=0))
        optim.train_mode(self.recipe.optim)(self.network)
        with compiling.uncompiled(self.plan):
            layer = first_nonfinite_layer(self.network, batch, self._loss_fn(), seed=self.seed, step=step - 1)
        where = describe_nonfinite(
            layer, batch, self.dataset.train, step=step, run=self.run, world=self.world
        )
        states = checkpoint.list_checkpoints(self.run.checkpoints)
        saved = f"{states[0]} is the last good state" if states else "nothing was saved yet"
        raise NonFiniteStepError(f"{where}; {saved}; {_REMEDY}, which was {self._lr(step - 1):.3g}")

    def _report(self, moment: Moment) -> Iterator[Event]:
        if (num_skipped := int(moment.num_skipped)) > self.num_skipped:
            yield Note(
                f"{quantity(num_skipped, 'update')} skipped up to step "
                f"{moment.step}: loss or gradient not finite"
            )
        self.num_skipped = num_skipped
        progress, speed = self.totals.progress, self.totals.images_per_second
        yield StepProgress(
            moment.step,
            self.total,
            progress.loss_sum / progress.num_images,
            moment.lr,
            speed,
            self.time_left.seconds,
            memory_bytes(self.plan.device),
        )

    def _save(self) -> None:
        if self.memory_plan:
            malloc.release_free_memory()  # a state is copied before it is written
        history = self.history
        values = (
            self.run.checkpoints,
            self.network,
            self.optimizer,
            self.totals.progress,
            history.ema_network,
        )
        try:
            self.world.run_on_main(lambda: checkpoint.save(*values, rows=history.state_rows))
        except NonFiniteError as error:
            raise DivergedError(f"{error}; {_REMEDY}") from None

    def _end_epoch(self, lr: float) -> Iterator[Event]:
        """Validate and write the metrics; on a request to stop meanwhile, `_lacks_validation` stays true."""
        progress = self.totals.progress
        try:
            if progress.step == self.total:
                self._recalibrate_batch_norms()
            numbers = self._validation_numbers()
        except StopRequested:
            self._save()
            return
        except NonFiniteError as error:
            self._save()  # names the weight that is not finite, if one is
            raise DivergedError(f"{error} after step {progress.step}; {_REMEDY}") from None
        row: dict[str, Any] = {
            "epoch": math.ceil(progress.step / self.steps_per_epoch),
            "step": progress.step,
            "lr": lr,
            "train_loss": progress.loss_sum / progress.num_images,
        }
        if self.task.counts_wrong:
            row["train_error"] = 100 * progress.num_wrong / progress.num_images
        row |= {**numbers, "images_per_second": round(self.totals.images_per_second, 1) or None}
        self.totals.end_epoch()
        self.history.add_epoch(row, self.network)
        is_last = progress.step == self.total or self.history.stops_early()
        self.world.run_on_main(lambda: self._write_metrics(row, is_last=is_last))
        if not is_last:  # the last state lacks its validation: a crash before this line repeats it
            self._save()
        yield self._epoch_event(row)

    def _validation_numbers(self) -> dict[str, Any]:
        """What a row says of the weights; where held-out examples choose them, of those that are chosen from.

        The averaged weights have a prefix where both are validated.
        """
        ema_network = self.history.ema_network
        if ema_network and self.recipe.data.inner_val_fraction:
            self.validation = self._validate(ema_network)
            return dict(self.validation.row())
        self.validation = raw = self._validate(self.network)
        if not ema_network:
            return dict(raw.row())
        self.validation = self._validate(ema_network)
        return {**raw.row(), **{f"ema_{name}": value for name, value in self.validation.row().items()}}

    def _epoch_event(self, row: dict[str, Any]) -> EpochRow:
        is_held_out = self.recipe.data.inner_val_fraction > 0
        return EpochRow(row, math.ceil(self.total / self.steps_per_epoch), is_held_out)

    def _write_metrics(self, row: dict[str, Any], *, is_last: bool) -> None:
        self.run.append_metrics(row)
        if is_last:
            self.run.mark_finished(row)

    def _validate(self, network: Network, dataset: Dataset | None = None) -> ValidationResult:
        self.learner.eval()
        with compiling.uncompiled(self.plan):
            result: ValidationResult = self.task.validate(
                network,
                dataset or self.dataset,
                self.recipe,
                plan=self.plan,
                world=self.world,
                stop=self.stop,
            )
            return result
