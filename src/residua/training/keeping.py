"""Keeper: what a run keeps beside its weights - their mean, the best of them, and how the epochs went."""

from collections.abc import Mapping, Sequence
from typing import Any

from residua.errors import CheckpointError, NewerFormatError, NonFiniteStepError
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.checkpoint import Progress, State
from residua.runs.run import Run
from residua.spec.recipe import Recipe
from residua.training.average import EmaWeights
from residua.training.processes.world import ALONE, World
from residua.training.schedule import Errors, lr_at
from residua.weights.store import sweep

ROLLBACKS = 3
"""How often training goes back, at most: after that it is not the rate."""
LOWER = 0.5
"""Share of the rate that is left after numbers were lost and training went back."""
TIMED = "images_per_second"
"""What of a row is another number each time, and so is in no state: equal runs have equal files."""

Row = Mapping[str, Any]


class Keeper:
    """Kept with every state, so that a resumed run has the same."""

    def __init__(self, run: Run, recipe: Recipe, network: Network, world: World = ALONE) -> None:
        """Begin with a `network` that has not moved."""
        self.run, self.recipe, self.world = run, recipe, world
        self.running = EmaWeights(network, recipe.average) if recipe.average.ema_decay else None
        self.rows: list[Row] = []
        self.past: list[Errors] = []
        self.rollbacks: list[int] = []
        self._rivals = 0  # the first row that the best weights must have been compared with

    @property
    def network(self) -> Network | None:
        """The mean of the weights as a network, if the run keeps one."""
        return self.running.network if self.running else None

    @property
    def kept_rows(self) -> list[Row]:
        """The finished epochs, as every state keeps them."""
        return [_untimed(row) for row in self.rows]

    def newest(self) -> tuple[State | None, tuple[str, ...]]:
        """The newest good state, or none to begin anew, and a line for each that was passed over.

        Later when it was written by a later residua.
        """
        self.run.checkpoints.mkdir(exist_ok=True)
        for folder in (self.run.path, self.run.checkpoints):
            sweep(folder)
        try:
            state = checkpoint.newest(self.run.checkpoints)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            return None, (f"{error}; beginning again with the first step",)
        return state, tuple(f"damaged, falling back: {line}" for line in (state.refused if state else ()))

    def go_back(self, state: State | None, done: Progress) -> list[str]:
        """Take up what `state`, which had come to `done`, holds, in the metrics too; what was lost of it."""
        if state and self.running:
            checkpoint.restore_average(state, self.running.network)
        self.rows, self.rollbacks, self._rivals, said = self.world.share(lambda: self._take_up(state, done))
        self.past = [_errors(row) for row in self.rows]
        return said

    def _take_up(self, state: State | None, done: Progress) -> tuple[list[Row], list[int], int, list[str]]:
        """Rows, rollbacks, rivals of the best weights, and a line for each thing that was lost."""
        written = self.run.metrics
        rows, said = _rows(state, done, written), []
        if any(row not in written for row in rows):
            said.append(f"{self.run.path / 'metrics.jsonl'} was damaged, so it is put back from the state")
        self.run.rewind(rows)
        has_best = not rows or checkpoint.has_best(self.run.checkpoints)
        if not has_best:
            said.append(f"{checkpoint.BEST} was lost or damaged: the best weights from here on are kept")
        return rows, self.run.rollbacks, 0 if has_best else len(rows), said

    def rate(self, step: int, total: int) -> float:
        """Rate of update `step`, from 0, of `total`: what the schedule says, and less after going back."""
        peak = self.recipe.optim.lr * LOWER ** sum(step >= start for start in self.rollbacks)
        return lr_at(self.recipe.schedule, peak, step, total, past=self.past)

    def roll_back(self, error: NonFiniteStepError) -> str:
        """Write down that training goes back to the newest state; one line. `error` when it may not."""
        if self.recipe.optim.on_nonfinite != "rollback" or len(self.rollbacks) >= ROLLBACKS:
            raise error
        state = self.world.share(lambda: checkpoint.states(self.run.checkpoints)[0])
        self.world.share(lambda: self.run.record_rollback(checkpoint.step_of(state)))
        return f"{error}; going back to it, and on at {LOWER ** (len(self.rollbacks) + 1):g} of the rate"

    def after(self, network: Network, step: int) -> None:
        """Look at the weights of `network` after update `step`."""
        if self.running:
            self.running.take(network, step)

    def epoch(self, row: Row, network: Network) -> None:
        """Keep the weights that were judged, `network`'s or their mean, if no epoch before came so low."""
        found = _errors(row)
        if all(found.test < errors.test for errors in self.past[self._rivals :]):
            which = "ema" if self.network else "raw"
            facts = {"step": row["step"], "weights": which, "test_error": found.test}
            self.world.share(
                lambda: checkpoint.save_best(self.run.checkpoints, self.network or network, facts)
            )
        self.rows, self.past = [*self.rows, row], [*self.past, found]

    def gives_up(self) -> bool:
        """Whether the last `budget.patience` epochs brought nothing better."""
        patience, errors = self.recipe.budget.patience, [found.test for found in self.past]
        return bool(patience and errors) and len(errors) - 1 - errors.index(min(errors)) >= patience

    @property
    def gave_up(self) -> str:
        """Why training ends before its time, in a line."""
        return f"no lower test error in {self.recipe.budget.patience} epochs: training ends early"


def _errors(row: Row) -> Errors:
    return Errors(row.get("train_error", 100.0), row.get("ema_test_error", row["test_error"]))


def _rows(state: State | None, done: Progress, written: Sequence[Row]) -> list[Row]:
    """The epochs that were finished in `state`, with their speed where it is `written`.

    A state of an older residua does not tell: then those written until `done`, whose last epoch may owe its
    row.
    """
    if state is None:
        return []
    if "rows" not in state.facts:
        return [row for row in written if row["step"] <= (done.step - 1 if done.seen else done.step)]
    timed = {row["step"]: row for row in written}
    return [_timed(row, timed.get(row["step"], {})) for row in state.facts["rows"]]


def _untimed(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != TIMED}


def _timed(row: Row, written: Row) -> Row:
    """`row` as it was `written`; without its speed if it was not."""
    return written if _untimed(written) == row else {**row, TIMED: None}
