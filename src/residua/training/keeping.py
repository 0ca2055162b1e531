"""Keeper: what a run keeps beside its weights - their mean, the best of them, and how the epochs went."""

from collections.abc import Mapping
from typing import Any

from residua.nn.network import Network
from residua.spec.recipe import Recipe
from residua.training import checkpoint
from residua.training.average import Running
from residua.training.checkpoint import State
from residua.training.run import Lost, Run
from residua.training.schedule import Errors, rate_at
from residua.training.world import ALONE, World

ROLLBACKS = 3
"""How often training goes back, at most: after that it is not the rate."""
LOWER = 0.5
"""Share of the rate that is left after numbers were lost and training went back."""


class Keeper:
    """Kept with every state or read from the metrics, so that a resumed run has the same."""

    def __init__(self, run: Run, recipe: Recipe, network: Network, world: World = ALONE) -> None:
        """Begin with a `network` that has not moved."""
        self.run, self.recipe, self.world = run, recipe, world
        self.running = Running(network, recipe.average) if recipe.average.decay else None
        self.past: list[Errors] = []
        self.rollbacks: list[int] = []

    @property
    def network(self) -> Network | None:
        """The mean of the weights as a network, if the run keeps one."""
        return self.running.network if self.running else None

    def go_back(self, state: State | None) -> None:
        """Take up what `state` and the metrics hold; `run.rewind` came before."""
        if state and self.running:
            checkpoint.restore_average(state, self.running.network)
        rows, self.rollbacks = self.world.share(lambda: (self.run.metrics, self.run.rollbacks))
        self.past = [self._errors(row) for row in rows]

    def rate(self, step: int, total: int) -> float:
        """Rate of update `step`, from 0, of `total`: what the schedule says, and less after going back."""
        peak = self.recipe.optim.rate * LOWER ** sum(step >= start for start in self.rollbacks)
        return rate_at(self.recipe.schedule, peak, step, total, past=self.past)

    def roll_back(self, error: Lost) -> str:
        """Write down that training goes back to the newest state; one line. `error` when it may not."""
        if self.recipe.optim.lost != "rollback" or len(self.rollbacks) >= ROLLBACKS:
            raise error
        state = self.world.share(lambda: checkpoint.states(self.run.checkpoints)[0])
        self.world.share(lambda: self.run.record_rollback(checkpoint.step_of(state)))
        return f"{error}; going back to it, and on at {LOWER ** (len(self.rollbacks) + 1):g} of the rate"

    def after(self, network: Network, step: int) -> None:
        """Look at the weights of `network` after update `step`."""
        if self.running:
            self.running.take(network, step)

    def epoch(self, row: Mapping[str, Any], network: Network) -> None:
        """Keep the weights that were judged, `network`'s or their mean, if no epoch before came so low."""
        found = self._errors(row)
        if all(found.test < errors.test for errors in self.past):
            which = "ema" if self.network else "raw"
            facts = {"step": row["step"], "weights": which, "test_error": found.test}
            self.world.share(
                lambda: checkpoint.save_best(self.run.checkpoints, self.network or network, facts)
            )
        self.past.append(found)

    def gives_up(self) -> bool:
        """Whether the last `budget.patience` epochs brought nothing better."""
        patience, errors = self.recipe.budget.patience, [found.test for found in self.past]
        return bool(patience and errors) and len(errors) - 1 - errors.index(min(errors)) >= patience

    def _errors(self, row: Mapping[str, Any]) -> Errors:
        return Errors(row.get("train_error", 100.0), row.get("ema_test_error", row["test_error"]))
