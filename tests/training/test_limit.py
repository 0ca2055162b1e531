"""A limit that is kept: what is chosen, what is refused, and predicted beside measured in a fresh process."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_optim import KINDS

from command import complaint, residua, succeeded
from residua.nn import malloc
from residua.nn.network import build
from residua.spec import zoo
from residua.spec.memory import keep_everything, list_units, smallest_peak
from residua.spec.recipe import Averaging, Budget, Optim, Plan
from residua.training import memory, optim
from residua.training.memory import DoesNotFitError, limit_memory
from small import arch, colours, fresh, recipe, split_folder, weights

ROOT = Path(__file__).parents[2]
PLAN = Plan("cpu", "channels_last", "float32", 1)
GIB = 1 << 30


def limited(amount: int) -> Plan:
    return replace(PLAN, memory_limit=amount)


def test_a_roomy_limit_computes_nothing_twice() -> None:
    network = build(zoo.arch("cifar_resnet20"))
    fitted = limit_memory(network, limited(64 * GIB), batch=8)
    assert network.segments == fitted.segments == ()
    assert "no gradient checkpointing" in str(fitted)


def test_a_tight_limit_sets_the_networks_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "resident_bytes", lambda: GIB // 2)
    network = build(zoo.arch("cifar_resnet110"))
    fitted = limit_memory(network, limited(int(1.2 * GIB)), batch=64)
    assert network.segments == fitted.segments
    assert fitted.segments[0][0] == 0
    assert fitted.predicted <= fitted.limit
    assert 0 < network.ceiling <= memory.CEILING_SHARE * fitted.limit


def test_only_the_tightest_schedule_leaves_no_room_for_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the limit falls more is computed twice; with no room for holes at all, the tightest schedule.

    While there is room for them, the process stays below the ceiling, so that nothing need go back.
    """
    monkeypatch.setattr(malloc, "resident_bytes", lambda: 0)
    network = build(zoo.arch("cifar_resnet110"))
    every = list_units(network.arch, batch=512)
    fixed = memory._fixed(network, PLAN, 2)
    free, least = keep_everything(every).peak, smallest_peak(every)

    def below(ceiling: float) -> memory.MemoryPlan:
        """Fitted to the limit that has this ceiling."""
        most = max(unit.reads + unit.inner + unit.transient for unit in every)
        return limit_memory(
            network, limited(max(int(ceiling / memory.CEILING_SHARE) + 2, int(ceiling) + most + 2)), batch=512
        )

    roomy = below(fixed + memory.EAGER_FRAGMENTATION * free)
    less = below(fixed + memory.EAGER_FRAGMENTATION * free - (8 << 20))
    little = below(fixed + memory.FRAGMENTATION * 1.01 * least.peak)
    assert all(fitted.predicted < fitted.ceiling for fitted in (roomy, less, little))
    none = limit_memory(network, limited(int((fixed + 1.01 * least.peak) / memory.PLANNED_SHARE)), batch=512)
    assert (
        roomy.recomputed_share
        == 0
        < less.recomputed_share
        < little.recomputed_share
        <= least.recomputed_share
    )
    assert none.segments == least.segments
    assert none.predicted <= none.ceiling


@pytest.mark.parametrize("how", KINDS, ids=lambda how: how.kind)
def test_slots_are_what_the_optimiser_keeps(how: Optim) -> None:
    network = build(arch())
    optimizer = optim.make_optimizer(network, how)
    network(torch.randn(2, 3, 12, 12)).sum().backward()
    optimizer.step()
    stored = sum(
        value.numel()
        for slots in optimizer.state.values()
        for value in slots.values()
        if isinstance(value, torch.Tensor) and value.ndim
    )
    weights = sum(weight.numel() for weight in network.parameters())
    if how.kind == "muon":  # its matrices have one
        assert weights < stored <= optim.values_per_weight(how) * weights
    else:
        assert stored == optim.values_per_weight(how) * weights


def test_a_run_counts_its_optimiser_its_average_and_its_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(memory, "limit_memory", lambda *_, **words: calls.append(words))
    run_recipe = replace(recipe(), plan=limited(GIB))
    memory.limit_run_memory(build(run_recipe.arch), run_recipe, resident_bytes=7)
    rich = replace(run_recipe, optim=Optim(kind="adamw"), average=Averaging(ema_decay=0.9))
    memory.limit_run_memory(
        build(run_recipe.arch), replace(rich, budget=Budget(batch_size=7, accumulate=2)), resident_bytes=0
    )
    assert calls == [{"batch": 6, "other": 7, "slots": 1}, {"batch": 4, "other": 0, "slots": 3}]


def test_what_cannot_fit_is_refused_with_a_batch_and_a_limit_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "resident_bytes", lambda: GIB // 2)
    network = build(zoo.arch("cifar_resnet110"))
    with pytest.raises(DoesNotFitError, match=r"batch 512 needs .* GiB even with") as caught:
        limit_memory(network, limited(int(0.9 * GIB)), batch=512)
    batch = re.search(r"budget.batch_size=(\d+)", str(caught.value))
    limit = re.search(r"--memory-limit ([\d.]+)GiB", str(caught.value))
    assert batch
    assert limit
    most = int(batch[1])
    assert 1 < most < 512
    limit_memory(network, limited(int(0.9 * GIB)), batch=most)
    limit_memory(network, limited(int(float(limit[1]) * GIB)), batch=512)
    with pytest.raises(DoesNotFitError):
        limit_memory(network, limited(int(0.9 * GIB)), batch=most + 1)


def test_no_batch_is_offered_when_weights_alone_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "resident_bytes", lambda: GIB)
    with pytest.raises(DoesNotFitError) as caught:
        limit_memory(build(zoo.arch("cifar_resnet20")), limited(GIB), batch=64)
    assert "budget.batch_size" not in str(caught.value)


def test_a_limited_run_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_recipe, data = recipe(), colours()
    plain = fresh(tmp_path / "plain", run_recipe, data)
    free = memory.limit_run_memory(
        build(run_recipe.arch), replace(run_recipe, plan=limited(64 * GIB)), resident_bytes=0
    )
    assert free
    monkeypatch.setattr(memory, "_fixed", lambda *_: 0)
    monkeypatch.setattr(malloc, "release_free_memory", lambda *_: None)
    peak = memory.memory.smallest_peak(memory.memory.list_units(run_recipe.arch, batch=6)).peak
    tight = replace(
        run_recipe, plan=replace(run_recipe.plan, memory_limit=int(peak / memory.PLANNED_SHARE) + 8)
    )
    fitted = memory.limit_run_memory(build(run_recipe.arch), tight, resident_bytes=0)
    assert fitted
    assert fitted.segments
    assert weights(fresh(tmp_path / "tight", tight, data)) == weights(plain)


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_predicted_and_measured_agree_within_the_band() -> None:
    """cifar_resnet110 in a fresh process: the limit holds, and words are within a quarter of the truth."""
    words = [sys.executable, ROOT / "benchmarks/memory.py", "--json", "--models", "cifar_resnet110"]
    done = subprocess.run(
        [*words, "--rounds", "2", "--threads", "1"], capture_output=True, text=True, check=True
    )
    tight, free = json.loads(done.stdout)["rows"][:2]
    for row in (tight, free):
        assert row["predicted"] == pytest.approx(row["measured"], rel=0.25)
    assert tight["measured"] <= tight["limit"]
    assert tight["measured"] < free["measured"]


def test_the_command_prints_predicted_and_measured_and_refuses_with_seven(tmp_path: Path) -> None:
    data = split_folder(tmp_path / "photos")
    common = ("train", data, "-m", "cifar_resnet20", "--epochs", 1, "--set", "budget.batch_size=4")
    output = succeeded(residua(*common, "--memory-limit", "8GiB", "-o", tmp_path / "run"))
    assert "no gradient checkpointing" in output
    assert re.search(r"memory  predicted [\d.]+ \w+, measured [\d.]+ \w+ at most", output)
    line = complaint(residua(*common, "--memory-limit", "64MiB", "-o", tmp_path / "none"), 7)
    assert "cifar_resnet20 at batch 4 needs" in line
    assert not (tmp_path / "none").exists()
    assert "size of memory" in complaint(residua(*common, "--memory-limit", "much"), 2)
