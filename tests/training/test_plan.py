"""What the plan chooses, and the reason it gives."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from residua.errors import ConfigError
from residua.files import cache_folder
from residua.measure import timing
from residua.measure.timing import Timing
from residua.nn.device import place_network
from residua.nn.network import Network, build
from residua.spec.recipe import Plan
from residua.training import plan
from residua.training.plan import MAX_SHARE, MIN_SPEEDUP, MIN_STEPS, TIMING_SECONDS, PlanChoice, choose_plan
from small import arch

AUTO = Plan("cpu", threads=1, compile="off")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing was measured before, and the processor has units for bfloat16."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: True)
    return cache_folder()


def eager(form: str, kind: str) -> Plan:
    return Plan("cpu", form, kind, 1, compile="off", graphs="off")  # type: ignore[arg-type]


def with_speeds(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[str, str], float]) -> None:
    def measure(
        network: Network, *, batch: int, ways: tuple[tuple[str, str], ...], limit: object
    ) -> Timing[tuple[str, str]]:
        seconds = {way: batch / speeds[way] for way in ways}
        return Timing(seconds, {way: [each] * 5 for way, each in seconds.items()}, is_answer=True)

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


def test_short_fine_tuning_takes_bfloat16_where_the_processor_has_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert plan.fast_precision(AUTO, steps=MIN_STEPS - 1).precision == "bfloat16"
    assert plan.fast_precision(AUTO, steps=MIN_STEPS).precision == "auto"  # long enough to measure
    assert plan.fast_precision(eager("contiguous", "float32"), steps=1).precision == "float32"
    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: None)
    assert plan.fast_precision(AUTO, steps=1).precision == "auto"


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
    with pytest.raises(ConfigError, match="cuda:99"):
        choose_plan(build(arch()), Plan("cuda:99"), batch=4, steps=10)


@pytest.mark.parametrize("form", ["contiguous", "channels_last"])
def test_a_placed_network_has_the_plans_strides(form: str) -> None:
    network = place_network(build(arch()), Plan("cpu", form, "float32", 1))  # type: ignore[arg-type]
    weight = network.stages[0][0].residual.conv1.weight  # type: ignore[index, union-attr]
    last = weight.is_contiguous(memory_format=torch.channels_last)
    assert last == (form == "channels_last")
    assert torch.get_num_threads() == 1


class Machine:
    """A clock, and training steps that take `seconds` on it, by format and precision."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[tuple[str, str], float]) -> None:
        self.now, self.seconds, self.turns = 0.0, seconds, list[tuple[str, str]]()
        self.busy: Callable[[tuple[str, str], int], float] = lambda way, nth: 1.0
        monkeypatch.setattr(plan, "_step", self._step)
        monkeypatch.setattr(plan.time, "perf_counter", lambda: self.now)

    def _step(self, network: Network, form: str, kind: str, batch: int) -> Callable[[], None]:
        def run() -> None:
            way = (form, kind)
            self.now += self.seconds[way] * self.busy(way, self.turns.count(way))
            self.turns.append(way)

        return run


WAYS = tuple(SAME)


def test_a_busy_machine_does_not_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process slows the default in its first turns, and all in another: bfloat16 does not win."""
    machine = Machine(monkeypatch, dict.fromkeys(WAYS, 0.1))
    machine.busy = lambda way, nth: 3.0 if (nth < 3 and way == WAYS[0]) or nth == 4 else 1.0
    assert choose_plan(build(arch()), AUTO, batch=8, steps=100_000).plan == eager("channels_last", "float32")
    assert len(machine.turns) > 4 * (1 + timing.MIN_TURNS)


def test_a_processor_without_units_is_asked_and_not_measured_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: False)
    machine = Machine(monkeypatch, SAME)
    chosen = choose_plan(build(arch()), AUTO, batch=8, steps=100_000)
    assert chosen.plan == eager("channels_last", "float32")
    assert plan.EMULATED in chosen.reason
    assert {kind for _, kind in machine.turns} == {"float32"}


def test_one_way_that_is_left_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: False)
    monkeypatch.delattr(plan, "measure")
    chosen = choose_plan(build(arch()), Plan("cpu", "contiguous", threads=1), batch=8, steps=100_000)
    assert chosen.plan == eager("contiguous", "float32")
    assert plan.EMULATED in chosen.reason


def test_bfloat16_that_is_asked_for_is_taken_without_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: False)
    with_speeds(monkeypatch, SAME)
    requested = Plan("cpu", precision="bfloat16", threads=1, compile="off")
    assert choose_plan(build(arch()), requested, batch=8, steps=100_000).plan.precision == "bfloat16"


@pytest.mark.parametrize(("slowness", "emulates"), [(1.0, False), (9.0, True)])
def test_where_the_system_says_nothing_a_small_convolution_is_timed(
    slowness: float, emulates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def forward(conv: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        now[0] += slowness if torch.is_autocast_enabled("cpu") else 1.0
        return torch.zeros(1, requires_grad=True)

    monkeypatch.setattr(plan, "has_bfloat16_units", lambda: None)
    monkeypatch.setattr(torch.nn.Conv2d, "forward", forward)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert plan.emulates_bfloat16() is emulates


@pytest.mark.parametrize("steps", [MIN_STEPS, 1000, 10_000, 10**6])
@pytest.mark.parametrize("seconds", [0.01, 0.3, 2.0, 40.0])
def test_measuring_takes_a_small_share_of_the_run(
    steps: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is emulated, but one way takes twice as long."""
    machine = Machine(monkeypatch, {way: seconds * (1 + 0.4 * nth) for nth, way in enumerate(WAYS)})
    choose_plan(build(arch()), AUTO, batch=8, steps=steps)
    assert machine.now <= max(seconds, min(TIMING_SECONDS, MAX_SHARE * seconds * steps))


def test_what_is_about_to_be_measured_is_announced() -> None:
    lines: list[str] = []
    choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS, announce=lines.append)
    (line,) = lines
    assert f"at most {TIMING_SECONDS:.0f} s" in line


def test_a_second_run_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = SAME | {("contiguous", "bfloat16"): 160.0}
    first = measured(monkeypatch, speeds)
    monkeypatch.delattr(plan, "measure")
    lines: list[str] = []
    second = choose_plan(build(arch()), AUTO, batch=8, steps=10 * MIN_STEPS, announce=lines.append)
    assert second.plan == first.plan == eager("contiguous", "bfloat16")
    assert "measured earlier" in second.reason
    assert "contiguous bfloat16 160/s" in second.reason
    assert lines == []


def test_another_batch_or_number_of_threads_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, SAME)
    with_speeds(monkeypatch, SAME | {("contiguous", "float32"): 200.0})
    for requested, batch in ((AUTO, 16), (Plan("cpu", threads=2), 8)):
        chosen = choose_plan(build(arch()), requested, batch=batch, steps=MIN_STEPS).plan
        assert chosen.memory_format == "contiguous"
    assert choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS).plan.memory_format == "channels_last"


def test_a_measurement_without_an_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    machine = Machine(monkeypatch, dict.fromkeys(WAYS, 2.0))
    choose_plan(build(arch()), AUTO, batch=8, steps=10**6)
    assert set(machine.turns) == {WAYS[0]}
    assert not cache.exists()


def test_a_way_that_is_given_up_is_known_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = dict.fromkeys(WAYS, 0.01) | {("contiguous", "bfloat16"): 0.3}
    machine = Machine(monkeypatch, seconds)
    choose_plan(build(arch()), AUTO, batch=8, steps=10**6)
    assert machine.turns.count(("contiguous", "bfloat16")) == 1
    machine.turns.clear()
    assert "27/s" in choose_plan(build(arch()), AUTO, batch=8, steps=10**6).reason
    assert machine.turns == []


def test_a_cache_that_names_another_way_is_not_believed(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    measured(monkeypatch, SAME)
    (file,) = (cache / "measurements").iterdir()
    file.write_text(file.read_text().replace("contiguous bfloat16", "another way"))
    with_speeds(monkeypatch, SAME | {("contiguous", "float32"): 200.0})
    chosen = choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS)
    assert chosen.plan.memory_format == "contiguous"


def test_ctrl_c_in_a_timed_step_ends_the_measuring(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    machine = Machine(monkeypatch, SAME)

    def interrupt(way: object, nth: int) -> float:
        raise KeyboardInterrupt

    machine.busy = interrupt
    with pytest.raises(KeyboardInterrupt):
        choose_plan(build(arch()), AUTO, batch=8, steps=MIN_STEPS)
    assert not cache.exists()
