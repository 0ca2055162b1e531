"""RunHistory: the past of a run, kept with every state so that a resumed run continues from the same.

    rows, errors     the finished epochs: schedules, early stopping and the best weights depend on them
    rollbacks        steps to which training went back after NaN or infinity; each lowers the learning rate
    ema              the moving average of the weights
    best weights     a file of their own: those with the lowest test error

Process 0 reads and writes; the other processes receive what it read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from residua.errors import CheckpointError, NewerFormatError, NonFiniteStepError
from residua.files import remove_temporary_files
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.checkpoint import Checkpoint, Progress
from residua.runs.records import TIMING, read_row, require
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.spec.recipe import Recipe
from residua.training.average import EmaWeights
from residua.training.processes.world import SINGLE_PROCESS, World
from residua.training.schedule import EpochErrors, lr_at

MAX_ROLLBACKS = 3
"""Training goes back at most so often: after that the learning rate is not the cause."""
ROLLBACK_FACTOR = 0.5
"""Factor of the learning rate after each rollback."""

Row = Mapping[str, Any]


class RunHistory:
    """Epochs, rollbacks, moving average and best weights of a run."""

    def __init__(self, run: Run, recipe: Recipe, network: Network, world: World = SINGLE_PROCESS) -> None:
        """`network` has its initial weights."""
        self.run, self.recipe, self.world = run, recipe, world
        self.ema = EmaWeights(network, recipe.average) if recipe.average.ema_decay else None
        self.rows: list[Row] = []
        self.errors: list[EpochErrors] = []
        self.rollbacks: list[int] = []
        self._first_compared = 0  # index of the first row that the best weights are compared with

    @property
    def ema_network(self) -> Network | None:
        """The moving average as a network; None when the recipe has none."""
        return self.ema.network if self.ema else None

    @property
    def state_rows(self) -> list[Row]:
        """The metrics of the finished epochs, as states contain them."""
        return [_without_timing(row) for row in self.rows]

    def load_newest(self) -> tuple[Checkpoint | None, tuple[str, ...]]:
        """The newest state without damage, and a line for each damaged one; None to begin with step 1.

        Raises:
            NewerFormatError: A later residua wrote a state.
        """
        self.run.checkpoints.mkdir(exist_ok=True)
        for folder in (self.run.path, self.run.checkpoints):
            remove_temporary_files(folder)
        try:
            state = checkpoint.load_newest(self.run.checkpoints)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            return None, (f"{error}; beginning again with the first step",)
        return state, tuple(f"damaged, falling back: {line}" for line in (state.damaged if state else ()))

    def restore(self, state: Checkpoint | None, progress: Progress) -> list[str]:
        """Continue from `state`; metrics after it are removed from the run.

        Args:
            state: The state; None begins anew.
            progress: How far the state had come.

        Returns:
            A line for each file that was lost or damaged.
        """
        if state and self.ema:
            checkpoint.restore_ema(state, self.ema.network)
        self.rows, self.rollbacks, self._first_compared, notes = self.world.run_on_main(
            lambda: self._restore_files(state, progress)
        )
        for row in self.rows:
            require(row, ("test_error",), self.run.path / "metrics.jsonl")
        self.errors = [_errors_of(row) for row in self.rows]
        return notes

    def _restore_files(
        self, state: Checkpoint | None, progress: Progress
    ) -> tuple[list[Row], list[int], int, list[str]]:
        """Rows, rollbacks, first row that the best weights are compared with, and a line for each loss."""
        written = self.run.metrics
        rows, notes = _finished_rows(state, progress, written), []
        if any(row not in written for row in rows):
            notes.append(f"{self.run.path / 'metrics.jsonl'} was damaged, so it is restored from the state")
        self.run.rewrite_metrics(rows)
        has_best = not rows or checkpoint.has_best_weights(self.run.checkpoints)
        if not has_best:
            notes.append(
                f"{checkpoint.BEST} was lost or damaged: from here on the best weights are saved again"
            )
        return rows, self.run.rollbacks, 0 if has_best else len(rows), notes

    def lr(self, step: int, total: int) -> float:
        """Learning rate of update `step`, from 0, of `total`: the schedule's, lowered by each rollback."""
        peak = self.recipe.optim.lr * ROLLBACK_FACTOR ** sum(step >= start for start in self.rollbacks)
        return lr_at(self.recipe.schedule, peak, step, total, past=self.errors)

    def roll_back(self, error: NonFiniteStepError) -> str:
        """Record that training goes back to the newest state; one line for the user.

        Raises:
            NonFiniteStepError: `error`, when the recipe does not allow a rollback, or no further one.
        """
        if self.recipe.optim.on_nonfinite != "rollback" or len(self.rollbacks) >= MAX_ROLLBACKS:
            raise error
        state = self.world.run_on_main(lambda: checkpoint.list_checkpoints(self.run.checkpoints)[0])
        self.world.run_on_main(lambda: self.run.record_rollback(checkpoint.step_in_name(state)))
        factor = ROLLBACK_FACTOR ** (len(self.rollbacks) + 1)
        return f"{error}; going back to it, with {factor:g} of the learning rate"

    def after_step(self, network: Network, step: int) -> None:
        """Update the moving average after update `step`."""
        if self.ema:
            self.ema.update(network, step)

    def add_epoch(self, row: Row, network: Network) -> None:
        """Add the metrics of an epoch; save the weights that were evaluated if their error is the lowest."""
        errors = _errors_of(row)
        if self._is_best(row):
            kind = "ema" if self.ema else "raw"
            facts = {"step": row["step"], "weights": kind, "test_error": errors.test}
            self.world.run_on_main(
                lambda: checkpoint.save_best_weights(self.run.checkpoints, self.ema_network or network, facts)
            )
        self.rows, self.errors = [*self.rows, row], [*self.errors, errors]

    def _is_best(self, row: Row) -> bool:
        """Whether `row` has the lowest error; where examples are held out to choose, the loss breaks ties."""
        has_ties = self.recipe.data.inner_val_fraction > 0
        now = _rank(row, with_loss=has_ties)
        return all(now < _rank(earlier, with_loss=has_ties) for earlier in self.rows[self._first_compared :])

    def stops_early(self) -> bool:
        """Whether the last `budget.patience` epochs brought no lower test error."""
        patience, errors = self.recipe.budget.patience, [epoch.test for epoch in self.errors]
        return bool(patience and errors) and len(errors) - 1 - errors.index(min(errors)) >= patience

    @property
    def early_stop_note(self) -> str:
        """Why training ends early, in one line."""
        name = "held-out error" if self.recipe.data.inner_val_fraction else "test error"
        return f"no lower {name} in {quantity(self.recipe.budget.patience, 'epoch')}: training ends early"


def _errors_of(row: Row) -> EpochErrors:
    return EpochErrors(row.get("train_error", 100.0), row.get("ema_test_error", row["test_error"]))


def _rank(row: Row, *, with_loss: bool) -> tuple[float, float]:
    """What orders epochs: the lower, the better."""
    loss = row.get("ema_test_loss", row.get("test_loss", 0.0)) if with_loss else 0.0
    return _errors_of(row).test, loss


def _finished_rows(state: Checkpoint | None, progress: Progress, written: Sequence[Row]) -> list[Row]:
    """The epochs that were finished in `state`, with their speed where it is `written`.

    States of early versions contain no rows: then those `written` up to `progress`, whose last epoch may lack
    its row.
    """
    if state is None:
        return []
    if "rows" not in state.facts:
        last = progress.step - 1 if progress.num_images else progress.step
        return [row for row in written if row["step"] <= last]
    by_step = {row["step"]: row for row in written}
    rows = map(read_row, state.facts["rows"])
    return [_with_timing(row, by_step.get(row["step"], {})) for row in rows]


def _without_timing(row: Row) -> Row:
    """`row` without its speed, so that equal runs have equal states."""
    return {name: value for name, value in row.items() if name != TIMING}


def _with_timing(row: Row, written: Row) -> Row:
    """`row` as it was `written`; without its speed if it was not."""
    return written if _without_timing(written) == row else {**row, TIMING: None}
