"""How long a run takes, before it begins."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from residua.spec.recipe import Averaging
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training.network import initial_network
from residua.training.pace import MAX_STEPS, Pace, estimate_pace, measure_pace
from small import colours, recipe

PACES = st.builds(Pace, st.floats(0, 10), st.floats(1e-3, 5), st.floats(0, 20))


@given(PACES, st.floats(0, 5000), st.integers(1, 50))
def test_the_epochs_that_fit_are_the_most_that_fit(pace: Pace, seconds: float, steps: int) -> None:
    epochs = pace.epochs_within(seconds, steps)
    if epochs:
        assert pace.seconds(epochs * steps, steps) <= seconds * (1 + 1e-9)
    assert pace.seconds((epochs + 1) * steps, steps) > seconds * (1 - 1e-9)


@given(PACES, st.floats(0, 5000))
def test_the_steps_that_fit_end_before_an_epoch_would(pace: Pace, seconds: float) -> None:
    steps = pace.steps_within(seconds)
    assert steps >= 1
    if steps > 1:
        assert pace.seconds(steps, steps) <= seconds * (1 + 1e-9)


def test_steps_are_timed_on_a_copy() -> None:
    data, run_recipe = colours(), recipe()
    network = initial_network(run_recipe, data.train.classes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pace = measure_pace(ClassifyLearn(), data, run_recipe, network, seconds=0)
    assert pace.start > 0 < pace.step
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weights.grad is None for weights in network.parameters())


def test_no_more_steps_are_timed_than_the_run_has() -> None:
    steps: list[int] = []

    class Counted(ClassifyLearn):
        def batches(self, *args: object, **options: object):  # type: ignore[no-untyped-def, override]
            for batch in super().batches(*args, **options):  # type: ignore[arg-type]
                steps.append(1)
                yield batch

    data, run_recipe = colours(), recipe()  # twelve steps
    network = initial_network(run_recipe, data.train.classes)
    measure_pace(Counted(), data, run_recipe, network, seconds=1000)
    assert len(steps) == 12 <= MAX_STEPS


def test_averaged_weights_are_validated_and_saved_too() -> None:
    data, run_recipe = colours(), recipe()
    network = initial_network(run_recipe, data.train.classes)
    plain = estimate_pace(data, run_recipe, network, rate=10)
    averaged = estimate_pace(data, recipe(average=Averaging(0.9)), network, rate=10)
    assert averaged.step == plain.step > 0.6  # six images at ten a second, and what comes on top
    assert averaged.epoch_end > 1.5 * plain.epoch_end
