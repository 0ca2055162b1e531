"""When a network is compiled, and that compiling changes neither names nor resuming."""

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from residua.errors import ConfigError
from residua.measure import measurements
from residua.measure.timing import Timing
from residua.nn.network import Network, build
from residua.runs import checkpoint
from residua.runs.run import create
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Budget, Plan
from residua.training import compiling, plan
from residua.training.compiling import BLOCK_SECONDS, EXPECTED_GAIN, MIN_RETURN, MIN_SPEEDUP, CompileMode
from small import after, arch, colours, go, recipe, rows, weights

EAGER = Plan("cpu", "contiguous", "float32", 1, compile="off", graphs="off")
AUTO = Plan("cpu", "contiguous", "float32", 1)
LONG = 10**7


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was measured before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def measured(rates: dict[CompileMode, float], batch: int, cost: float = 1.0) -> Any:
    """What `compiling.measure` returns of modes that are so fast and take `cost` seconds to compile."""
    seconds = {mode: batch / rate for mode, rate in rates.items()}
    turns = {mode: [each] * 5 for mode, each in seconds.items()}
    names = {"off": (), "blocks": ("blocks",), "whole": ("whole",)}
    first = {f"{kind}{' as graphs' * (graphs == 'on')}": cost for kind, graphs in rates if names[kind]}
    return Timing(seconds, turns, is_answer=True), {}, first


def with_rates(monkeypatch: pytest.MonkeyPatch, *, cost: float = 1.0, **rates: float) -> list[int]:
    """Modes have the speed `rates` says; the list gets the batch of each measurement."""
    batch_sizes = []

    def measure(_: Network, plan: Plan, modes: list[CompileMode], batch: int, **_more: float) -> Any:
        batch_sizes.append(batch)
        return measured({mode: rates[mode[0]] for mode in modes}, batch, cost)

    monkeypatch.setattr(compiling, "measure", measure)
    return batch_sizes


def chosen(plan: Plan = AUTO, *, steps: int = LONG, rate: float = 100.0) -> tuple[Plan, str]:
    return compiling.choose_compile(build(arch()), plan, batch=8, steps=steps, rate=rate)


def test_a_short_run_of_unknown_speed_times_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(compiling, "measure")
    monkeypatch.delattr(compiling, "_eager_rate")
    assert chosen(steps=compiling.MANY_IMAGES // 8 - 1, rate=0.0)[0] == EAGER


def test_a_run_that_cannot_win_back_ten_times_the_cost_is_not_compiled_to_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch_sizes = with_rates(monkeypatch, off=100.0, whole=150.0, blocks=150.0)
    modes: list[CompileMode] = [("blocks", "off"), ("whole", "off")]
    seconds = BLOCK_SECONDS["cpu"] * compiling._blocks_to_compile(build(arch()), modes)
    needed = int(MIN_RETURN * seconds / EXPECTED_GAIN * 100 / 8)
    result, why = chosen(steps=needed - 1)
    assert result == EAGER
    assert "too short" in why
    assert batch_sizes == []
    assert chosen(steps=needed + 1)[0].compile == "blocks"
    assert len(batch_sizes) == 1


@pytest.mark.parametrize(
    ("whole", "blocks", "kind"),
    [(99 * MIN_SPEEDUP, 50.0, "off"), (101 * MIN_SPEEDUP, 50.0, "whole"), (153.0, 151.0, "blocks")],
)
def test_a_long_run_takes_what_measures_faster_by_enough(
    monkeypatch: pytest.MonkeyPatch, whole: float, blocks: float, kind: str
) -> None:
    with_rates(monkeypatch, off=100.0, whole=whole, blocks=blocks)
    result, why = chosen()
    assert result.compile == kind
    assert why.startswith(f"{kind}: ")
    for words in ("off 100/s", f"blocks {blocks:.0f}/s", f"whole {whole:.0f}/s"):
        assert words in why


def test_what_was_measured_is_used_by_later_runs_that_are_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_rates(monkeypatch, cost=50.0, off=100.0, whole=90.0, blocks=125.0)
    chosen()
    monkeypatch.delattr(compiling, "measure")
    needed = int(MIN_RETURN * 50 / (1 / 100 - 1 / 125) / 8)
    result, why = chosen(steps=needed + 1, rate=0.0)
    assert result.compile == "blocks"
    assert "measured earlier" in why
    assert chosen(steps=needed - 1)[0].compile == "off"


@pytest.mark.parametrize("is_known", [False, True])
def test_a_run_that_its_minutes_end_early_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    batch_sizes = with_rates(monkeypatch, cost=50.0, off=100.0, whole=150.0, blocks=150.0)
    if is_known:
        assert chosen()[0].compile == "blocks"
        batch_sizes.clear()
    result, _ = compiling.choose_compile(build(arch()), AUTO, batch=8, steps=LONG, rate=100.0, max_seconds=60)
    assert result == EAGER
    assert batch_sizes == []


def test_before_compiling_a_line_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rates(monkeypatch, off=100.0, whole=90.0, blocks=125.0)
    lines: list[str] = []
    compiling.choose_compile(build(arch()), AUTO, batch=8, steps=LONG, rate=100.0, announce=lines.append)
    (line,) = lines
    assert "blocks, whole" in line


def test_slow_steps_are_timed_with_fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    batch_sizes = with_rates(monkeypatch, off=1.0, blocks=1.0, whole=1.0)
    for number, rate in enumerate((1000.0, 8.5, 0.1)):
        requested = replace(AUTO, threads=number + 1)  # else the first measurement is used again
        compiling.choose_compile(build(arch()), requested, batch=64, steps=LONG, rate=rate)
    assert batch_sizes == [64, 34, compiling.MIN_STEP_IMAGES]


def test_deep_networks_are_tried_by_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rates(monkeypatch, off=100.0, whole=900.0, blocks=300.0)
    deep = build(change.deepen(zoo.arch("cifar_resnet20"), (21, 20, 20)))
    result, why = compiling.choose_compile(deep, AUTO, batch=8, steps=LONG, rate=100.0)
    assert result.compile == "blocks"
    assert "whole" not in why


@pytest.mark.parametrize("kind", ["off", "whole", "blocks"])
def test_what_is_asked_for_is_done_unmeasured(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(compiling, "measure")
    requested = Plan("cpu", compile=kind)  # type: ignore[arg-type]
    result, why = chosen(requested)
    assert (result.compile, result.graphs) == (kind, "off")
    assert why == f"{kind}, as asked"


def test_graphs_need_a_translation_and_whole_batches() -> None:
    with pytest.raises(ConfigError, match=r"plan\.compile whole or blocks"):
        Plan(graphs="on", compile="off")
    with pytest.raises(ConfigError, match=r"overwrites gradients: leave budget\.accumulate 1"):
        recipe(plan=Plan(graphs="on", compile="whole"), budget=Budget(accumulate=2))


@pytest.mark.parametrize(("device", "graphs"), [("cuda", "auto"), ("cuda", "off"), ("cpu", "auto")])
def test_graphs_are_tried_on_accelerators_unless_they_were_ruled_out(
    device: str, graphs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[CompileMode] = []

    def measure(_: Network, plan: Plan, modes: list[CompileMode], batch: int, **_more: float) -> Any:
        tried.extend(modes)
        return measured(dict.fromkeys(modes, 1.0), batch)

    monkeypatch.setattr(compiling, "measure", measure)
    monkeypatch.setattr(measurements, "device_name", str)
    chosen(Plan(device, "contiguous", "float32", graphs=graphs))
    assert (("whole", "on") in tried) == (device == "cuda" and graphs == "auto")


def test_portions_of_a_batch_are_timed_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(_: Network, plan: Plan, *, batch: int, steps: int, **_more: object) -> tuple[Plan, str]:
        assert (plan.graphs, batch, steps) == ("off", 3, 400)
        return plan, "seen"

    monkeypatch.setattr(compiling, "choose_compile", choose)
    assert plan.choose_plan(build(arch()), AUTO, batch=12, steps=100, portions=4).compile_reason == "seen"


def test_what_no_compiler_translates_is_said_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no working C++ compiler\nwas found")

    monkeypatch.setattr(nn.Module, "compile", lambda module, **_: module.register_forward_pre_hook(refuse))
    monkeypatch.setattr(compiling, "TIMING_SECONDS", 0.0)
    result, why = chosen(rate=0.01)
    assert "measured earlier" not in chosen(AUTO)[1]  # the compiler may be installed by then
    assert (result.compile, result.graphs) == ("off", "off")
    for way in ("blocks", "whole"):
        assert re.search(rf"{way} failed .*C\+\+ compiler", why)


def test_a_timed_step_begins_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph overwrites the gradients that it gave: what adds to them would be refused."""
    monkeypatch.setattr(copy, "deepcopy", lambda network: network)
    network = build(arch())
    take = compiling.timing_step(network, EAGER, 2)
    take()
    first = [weight.grad for weight in network.parameters() if weight.grad is not None]
    take()
    assert len(first) > 4
    for one, other in zip(first, network.parameters(), strict=True):
        assert one is not other.grad


class Counter:
    """A compiler that only counts what it is given."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Any:
        self.graphs += 1
        return graph.forward


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    torch._dynamo.reset()
    counts, real = Counter(), nn.Module.compile

    def compile_(module: nn.Module, **words: Any) -> None:
        real(module, **{**words, "backend": counts, "mode": None})

    monkeypatch.setattr(nn.Module, "compile", compile_)
    return counts


@pytest.mark.battery
@pytest.mark.parametrize(("name", "size", "kinds"), [("cifar_resnet56", 32, 5), ("iresnet34", 32, 14)])
def test_equal_blocks_are_translated_once(name: str, size: int, kinds: int, counter: Counter) -> None:
    """Also where there are more kinds than torch's own limit of 8."""
    small = Preprocess(size, size, (0.5,) * 3, (0.5,) * 3)
    network = build(change.with_preprocess(zoo.arch(name), small)).train()
    names = list(network.state_dict())
    compiling.compile_network(network, Plan("cpu", compile="blocks"))
    for _ in range(2):
        network(torch.randn(2, 3, size, size)).sum().backward()
    assert counter.graphs == kinds == compiling._blocks_to_compile(network, [("blocks", "off")])
    assert list(network.state_dict()) == names


def test_other_modes_run_layer_by_layer(counter: Counter) -> None:
    network, plan = build(arch()).eval(), Plan("cpu", compile="whole")
    compiling.compile_network(network, plan)
    with compiling.uncompiled(plan):
        network(torch.zeros(2, 3, 12, 12))
    assert counter.graphs == 0
    network.train()(torch.zeros(2, 3, 12, 12))
    assert counter.graphs == 1


@pytest.mark.parametrize("kind", ["whole", "blocks"])
def test_a_translated_run_goes_on_bit_for_bit(kind: str, counter: Counter, tmp_path: Path) -> None:
    run_recipe = recipe(plan=Plan("cpu", "channels_last", "float32", 1, compile=kind))  # type: ignore[arg-type]
    whole = create(tmp_path / "whole", run_recipe, identity={})
    go(whole, colours())
    assert counter.graphs > 0
    run = create(tmp_path / "parts", run_recipe, identity={})
    for asks in (2, 6):
        go(run, colours(), after(asks))
    go(run, colours())
    assert rows(run) == rows(whole)
    assert weights(run) == weights(whole)
    assert (
        checkpoint.load_weights(checkpoint.list_checkpoints(run.checkpoints)[0], "auto")[0].arch
        == run_recipe.arch
    )


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_the_real_compiler_goes_on_bit_for_bit_and_says_nearly_the_same(tmp_path: Path) -> None:
    torch._dynamo.reset()
    small = replace(arch(), stages=arch().stages[:1])  # one kind of block: the compiler is slow
    run_recipe = recipe(arch=small, plan=Plan("cpu", "contiguous", "float32", 1, compile="blocks"))
    whole, run = (create(tmp_path / name, run_recipe, identity={}) for name in ("whole", "parts"))
    go(whole, colours())
    go(run, colours(), after(6))
    go(run, colours())
    assert weights(run) == weights(whole)
    eager = create(
        tmp_path / "eager", replace(run_recipe, plan=replace(run_recipe.plan, compile="off")), identity={}
    )
    go(eager, colours())
    for one, other in zip(whole.metrics, eager.metrics, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
