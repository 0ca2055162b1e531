"""What the plan chooses, and the reason it gives."""

import pytest
import torch

from residua.errors import ConfigError
from residua.nn.device import place_network
from residua.nn.network import Network, build
from residua.spec.recipe import Plan
from residua.training import plan, timing
from residua.training.plan import MIN_SPEEDUP, MIN_STEPS, PlanChoice, choose_plan
from small import arch

AUTO = Plan("cpu", threads=1)


def eager(form: str, kind: str) -> Plan:
    return Plan("cpu", form, kind, 1, compile="off", graphs="off")  # type: ignore[arg-type]


def with_speeds(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[str, str], float]) -> None:
    def measure(
        network: Network, *, batch: int, formats: tuple[str, ...], precisions: tuple[str, ...]
    ) -> dict[tuple[str, str], list[float]]:
        return {(form, kind): [batch / speeds[form, kind]] * 5 for kind in precisions for form in formats}

    monkeypatch.setattr(plan, "measure", measure)


def measured(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[str, str], float]) -> PlanChoice:
    with_speeds(monkeypatch, speeds)
    return choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS)


SAME = {
    ("channels_last", "float32"): 100.0,
    ("contiguous", "float32"): 100.0,
    ("channels_last", "bfloat16"): 100.0,
    ("contiguous", "bfloat16"): 100.0,
}


def test_what_is_asked_for_is_done_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(plan, "measure")
    requested = Plan("cpu", "contiguous", "bfloat16", 1, compile="off")
    chosen = choose_plan(build(arch()), requested, batch=8, steps=100_000)
    assert chosen.plan == eager("contiguous", "bfloat16")
    assert "as asked" in chosen.reason


def test_a_short_run_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(plan, "measure")
    chosen = choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS - 1)
    assert chosen.plan == eager("channels_last", "float32")
    assert "short run" in chosen.reason


def test_equal_speeds_leave_float32_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, SAME).plan == eager("channels_last", "float32")


@pytest.mark.parametrize(
    ("gain", "kind"), [(MIN_SPEEDUP - 0.01, "float32"), (MIN_SPEEDUP + 0.01, "bfloat16")]
)
def test_bfloat16_must_be_worth_it(monkeypatch: pytest.MonkeyPatch, gain: float, kind: str) -> None:
    chosen = measured(monkeypatch, SAME | {("channels_last", "bfloat16"): 100 * gain})
    assert (chosen.plan.memory_format, chosen.plan.precision) == ("channels_last", kind)


@pytest.mark.parametrize(("fast", "kind"), [(140.0, "float32"), (160.0, "bfloat16")])
def test_bfloat16_must_beat_the_best_float32_and_all_speeds_are_said(
    fast: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = SAME | {("contiguous", "float32"): 130.0, ("contiguous", "bfloat16"): fast}
    chosen = measured(monkeypatch, speeds)
    assert (chosen.plan.memory_format, chosen.plan.precision) == ("contiguous", kind)
    for text in (
        "channels_last float32 100/s",
        "contiguous float32 130/s",
        f"contiguous bfloat16 {fast:.0f}/s",
    ):
        assert text in chosen.reason


def test_half_a_wish_leaves_the_other_half_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    with_speeds(monkeypatch, SAME | {("contiguous", "bfloat16"): 200.0})
    requested = Plan("cpu", "contiguous", "auto", 1)
    assert choose_plan(build(arch()), requested, batch=8, steps=MIN_STEPS).plan.memory_format == "contiguous"
    assert choose_plan(build(arch()), requested, batch=8, steps=MIN_STEPS).plan.precision == "bfloat16"


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = build(arch())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    choose_plan(network, AUTO, batch=4, steps=MIN_STEPS)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_device_that_is_not_here_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'cuda:99'.*cpu or auto"):
        choose_plan(build(arch()), Plan("cuda:99"), batch=4, steps=10)


@pytest.mark.parametrize("form", ["contiguous", "channels_last"])
def test_a_placed_network_has_the_plans_strides(form: str) -> None:
    network = place_network(build(arch()), Plan("cpu", form, "float32", 1))  # type: ignore[arg-type]
    weight = network.stages[0][0].residual.conv1.weight  # type: ignore[index, union-attr]
    last = weight.is_contiguous(memory_format=torch.channels_last)
    assert last == (form == "channels_last")
    assert torch.get_num_threads() == 1


def test_a_busy_machine_does_not_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process slows the default in its first turns, and all in another: bfloat16 does not win."""
    clock, turns = [0.0], list[tuple[str, str]]()

    def step(network: Network, form: str, kind: str, batch: int) -> object:
        def run() -> None:
            turn = turns.count((form, kind))
            busy = (form, kind) == ("channels_last", "float32") and turn < 3
            turns.append((form, kind))
            clock[0] += 3.0 if busy or turn == 4 else 1.0

        return run

    monkeypatch.setattr(plan, "_step", step)
    monkeypatch.setattr(plan.time, "perf_counter", lambda: clock[0])
    assert choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS).plan == eager(
        "channels_last", "float32"
    )
    assert len(turns) == 4 * (1 + timing.MIN_TURNS)
