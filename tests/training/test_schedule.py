"""The learning rate at every milestone the papers name."""

import pytest

from residua.recipes import duta2020, he2015, he2016
from residua.spec import zoo
from residua.spec.recipe import Schedule
from residua.training.schedule import EpochErrors, lr_at


def paper_rate(depth: int, step: int, past: list[float] | None = None) -> float:
    run_recipe = he2015.cifar(zoo.arch(f"cifar_resnet{depth}"), "cifar10")
    epochs = [EpochErrors(error, error) for error in past or []]
    return lr_at(run_recipe.schedule, run_recipe.optim.lr, step, run_recipe.budget.steps, past=epochs)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)],
)
def test_the_cifar_recipe_drops_at_32k_and_48k(step: int, rate: float) -> None:
    assert paper_rate(56, step) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("past", "step", "rate"),
    [
        ([], 0, 0.01),
        ([], 389, 0.01),
        ([85.0], 390, 0.01),
        ([85.0, 80.0], 780, 0.01),
        ([85.0, 79.9], 780, 0.1),
        ([79.9, 85.0], 780, 0.1),
        ([70.0], 31_999, 0.1),
        ([70.0], 32_000, 0.01),
    ],
)
def test_from_depth_110_on_the_rate_is_a_tenth_until_the_training_error_falls_below_80(
    past: list[float], step: int, rate: float
) -> None:
    assert paper_rate(110, step, past) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.01), (399, 0.01), (400, 0.1), (31_999, 0.1), (32_000, 0.01), (48_000, 0.001)]
)
def test_every_run_of_the_second_paper_begins_with_400_steps_at_a_tenth(step: int, rate: float) -> None:
    run_recipe = he2016.cifar(zoo.arch("cifar_preresnet164"), "cifar10")
    assert lr_at(run_recipe.schedule, run_recipe.optim.lr, step, 64_000) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("epoch", "rate"), [(29, 0.1), (30, 0.01), (59, 0.01), (60, 0.001), (80, 0.0001)])
def test_the_third_papers_imagenet_recipe_drops_after_30_60_and_80_epochs(epoch: int, rate: float) -> None:
    run_recipe = duta2020.imagenet(zoo.arch("iresnet50"), "imagenet")
    assert lr_at(run_recipe.schedule, run_recipe.optim.lr, 5004 * epoch, 5004 * 90) == pytest.approx(rate)


def plateau_rate(tests: list[float], *, patience: int = 2, most: int = 2) -> float:
    schedule = Schedule("plateau", patience=patience, max_drops=most)
    return lr_at(schedule, 1.0, 100, 1000, past=[EpochErrors(50.0, error) for error in tests])


def test_a_plateau_is_so_many_epochs_without_a_lower_test_error() -> None:
    assert plateau_rate([]) == 1
    assert plateau_rate([9, 8, 8]) == 1
    assert plateau_rate([9, 8, 8, 8.5]) == pytest.approx(0.1)
    assert plateau_rate([9, 8, 8.5, 7, 7.5]) == 1
    assert plateau_rate([9, 9, 9, 9]) == pytest.approx(0.1)
    assert plateau_rate([9, 9, 9, 9, 9]) == pytest.approx(0.01)
    assert plateau_rate([9] * 40) == pytest.approx(0.01)


def test_a_climbing_warm_up_rises_evenly_to_the_peak_and_not_beyond() -> None:
    schedule = Schedule("constant", warmup=0.4)
    rates = [lr_at(schedule, 1.0, step, 10) for step in range(10)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_a_cosine_starts_at_the_peak_halves_in_the_middle_and_nears_zero() -> None:
    rates = [lr_at(Schedule("cosine"), 0.4, step, 100) for step in range(100)]
    assert rates[0] == 0.4
    assert rates[50] == pytest.approx(0.2)
    assert 0 < rates[99] < 0.001
    assert rates == sorted(rates, reverse=True)


def test_a_line_falls_evenly_after_its_warm_up() -> None:
    schedule = Schedule("linear", warmup=0.2)
    assert [lr_at(schedule, 1.0, step, 10) for step in (2, 6, 9)] == pytest.approx([1, 0.5, 0.125])


@pytest.mark.parametrize("shape", ["step", "cosine", "linear", "constant"])
def test_every_rate_of_the_shortest_runs_is_above_zero(shape: str) -> None:
    for total in (1, 2, 3):
        for warmup in (0.0, 0.15, 0.9):
            schedule = Schedule(shape, warmup=warmup, drops=(0.5,))  # type: ignore[arg-type]
            assert all(0 < lr_at(schedule, 0.1, step, total) <= 0.1 for step in range(total))
