"""The predicted time left, on a synthetic clock: within 30 % after ten steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from residua.events import StepProgress
from residua.runs.run import create
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training import session
from residua.training.network import initial_network
from residua.training.session import TrainingSession
from residua.training.time_left import TimeLeft
from small import Budget, colours, never, recipe

EPOCHS, STEPS = 20, 100


class Simulation:
    """A run of EPOCHS x STEPS steps whose parts take the seconds that `step`, `epoch_end` and `save` say."""

    def __init__(
        self, step: Callable[[int], float], *, epoch_end: float = 0.0, save: float = 0.0, start: int = 0
    ) -> None:
        self.now, self.predictions = 0.0, dict[int, float]()
        images, last_save = 20 * STEPS, 0.0  # for validation: a fifth of the training images
        left = TimeLeft(
            total=EPOCHS * STEPS,
            steps_per_epoch=STEPS,
            batch_size=100,
            validation_images=images,
            save_seconds=30.0,
            start=start,
        )
        for number in range(start + 1, EPOCHS * STEPS + 1):
            self.now += step(number)
            left.add_steps(number, step(number))
            self.predictions[number - start] = self.now + left.seconds
            if number % STEPS == 0:
                self.now += epoch_end
                left.add_epoch_end(epoch_end)
            elif save and self.now - last_save > 30.0:
                self.now += save
                left.add_save(save)
                last_save = self.now

    def error(self, step: int) -> float:
        """Error of the predicted end after `step` steps, as a share of the seconds that were left."""
        done = next(iter(self.predictions))
        assert done == 1
        return abs(self.predictions[step] - self.now) / self.now


def steady(number: int) -> float:
    """A first step that starts workers and compiles, then one a second."""
    return 60.0 if number in (1, 501) else 1.0


def in_bursts(number: int) -> float:
    """Two workers that finish their batches at the same time, more slowly than the network learns."""
    return 8.0 if number == 1 else 2.0 if number % 2 else 0.02


def with_a_stall(number: int) -> float:
    """A step that waits for a disk, once."""
    return 25.0 if number == 6 else steady(number)


def noisy(number: int) -> float:
    """A machine that others use."""
    return steady(number) * (0.7 + 0.6 * (number * 7 % 10) / 9)


@pytest.mark.parametrize("epoch_end", [7.0, 20.0])  # a forward pass alone; decoding that takes the whole time
@pytest.mark.parametrize("step", [steady, in_bursts, with_a_stall, noisy])
def test_after_ten_steps_the_end_is_known_within_30_percent(
    step: Callable[[int], float], epoch_end: float
) -> None:
    run = Simulation(step, epoch_end=epoch_end)
    assert run.error(10) < 0.3
    assert run.error(STEPS + 50) < 0.1


def test_a_resumed_run_begins_to_predict_anew() -> None:
    assert Simulation(steady, epoch_end=10.0, start=500).error(10) < 0.3


def test_a_validation_counts_as_measured_once_it_was() -> None:
    run = Simulation(steady, epoch_end=300.0)
    assert run.error(10) > 0.5
    assert run.error(STEPS + 1) < 0.02


def test_checkpoints_within_an_epoch_count() -> None:
    assert Simulation(steady, save=15.0).error(90) < 0.1


def test_nothing_is_predicted_from_the_first_step() -> None:
    run = Simulation(steady)
    assert run.predictions[1] == 60.0  # no seconds left: unknown
    assert run.predictions[2] > 1000


def test_a_session_predicts_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the clock of the session: a second a step, 20 for the first, 6 for a validation."""
    now, seen = [0.0], list[tuple[float, StepProgress]]()
    moments, validate = TrainingSession._moments, ClassifyLearn.validate

    def slow_moments(self: TrainingSession, batches: Any) -> Iterator[Any]:
        for moment in moments(self, batches):
            now[0] += 20.0 if moment.step == 1 else 1.0
            yield moment

    def slow_validate(self: ClassifyLearn, *args: Any, **more: Any) -> Any:
        now[0] += 6.0
        return validate(self, *args, **more)

    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(TrainingSession, "_moments", slow_moments)
    monkeypatch.setattr(ClassifyLearn, "validate", slow_validate)
    run = create(
        tmp_path / "run", recipe(budget=Budget(epochs=12, batch_size=6, save_seconds=1e6)), identity={}
    )

    dataset = colours()
    network = initial_network(run.recipe, dataset.train.classes)
    with run.lock():
        for event in TrainingSession(run, network, dataset, ClassifyLearn(), stop=never).events():
            if isinstance(event, StepProgress):
                seen.append((now[0], event))
    left = {tick.step: (tick.seconds_left, now[0] - at) for at, tick in seen}
    assert left[1][0] == 0.0
    for step in (10, 20, 47):
        predicted, true = left[step]
        assert predicted == pytest.approx(true, rel=0.3)
