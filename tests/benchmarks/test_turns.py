"""How benchmarks compare: turns that rotate, no process of one side in the turn of another, the spread."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from residua import create_model
from residua.spec.recipe import Plan

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import loops  # noqa: E402
import step as step_benchmark  # noqa: E402
import table  # noqa: E402
import turns  # noqa: E402

import data  # noqa: E402 (scripts, which the line above finds)

KEYS = {"what", "ours", "peer", "peer_name", "unit", "ratio"}
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def session(rounds: int) -> turns.Session:
    return turns.Session(rounds, 0.0, 0.0, say=lambda _: None)


def sides(names: str, order: list[str]) -> dict[str, Callable[[], float]]:
    """Sides that write down when it is their turn."""

    def turn(name: str) -> float:
        order.append(name)
        return float(len(order))

    return {name: partial(turn, name) for name in names}


@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_every_side_is_first_as_often_as_last(names: str) -> None:
    rounds = [turns.order(names, number) for number in range(2 * len(names))]
    for place in (0, -1):
        assert sorted(one[place] for one in rounds) == sorted(2 * names)
    assert all(sorted(one) == list(names) for one in rounds)


def test_the_round_that_warms_up_is_not_counted() -> None:
    order: list[str] = []
    measured = session(1).take_turns(sides("ab", order))
    assert order == ["a", "b", "a", "b"]
    assert measured.values == {"a": [3.0], "b": [4.0]}


@pytest.mark.parametrize("first", [True, False])
def test_a_process_that_lives_on_ends_the_comparison(first: bool) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def leaving() -> float:
        started.append(subprocess.Popen(SLEEP))
        return 1.0

    try:
        if first:
            leaving()
            with pytest.raises(RuntimeError, match="before the turn"):
                session(1).take_turns({"ours": lambda: 1.0})
        else:
            with pytest.raises(RuntimeError, match="peer"):
                session(1).take_turns({"peer": leaving})
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_children_of_children_count() -> None:
    words = f"import subprocess, sys; subprocess.Popen({SLEEP!r}); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE) as parent:
        while len(turns.workers()) < 2:
            assert parent.poll() is None
        left = [pid for pid in turns.workers() if pid != parent.pid]
        assert parent.stdin
        for pid in left:
            subprocess.run(["kill", str(pid)], check=True)


def test_loaders_end_with_their_turn(tmp_path: Path) -> None:
    for number in range(2 * data.BATCH):
        file = tmp_path / f"class{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    feeds = {"ours": partial(data.ours, data.every(tmp_path), 1), "peer": partial(data.theirs, tmp_path, 1)}
    timed = {name: partial(turns.per_second, feed, 0.0) for name, feed in feeds.items()}
    measured = session(1).take_turns(timed)
    assert min(measured.values["ours"] + measured.values["peer"]) > 0


def backward_convolutions(step: Callable[[], object]) -> list[tuple[list[list[int]], int]]:
    """Shapes of all that is handed to the backward passes of convolutions in `step`, and how often."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        step()
    events = profiled.key_averages(group_by_input_shape=True)
    return sorted((e.input_shapes[:3], e.count) for e in events if e.key == "aten::convolution_backward")


def test_the_ceiling_computes_the_convolutions_of_a_step() -> None:
    network = create_model("cifar_resnet20")
    plan = Plan("cpu", "channels_last", "float32", 1, compile="off")
    steps = loops.convolutions(network, plan, (2, 3, 32, 32))()
    next(steps)  # makes its numbers first
    alone = backward_convolutions(lambda: next(steps))
    assert alone == backward_convolutions(lambda: network(torch.zeros(2, 3, 32, 32)).sum().backward())
    assert sum(count for _, count in alone) == 19


@pytest.mark.parametrize("side", [*step_benchmark.FORWARDS][2:])
def test_fused_layers_train_to_the_same_bits(side: str) -> None:
    network = create_model("cifar_resnet20").to(memory_format=torch.channels_last)
    fused = copy.deepcopy(network)
    for one, forward in ((network, step_benchmark.AS_IS), (fused, side)):
        torch.manual_seed(0)
        step = step_benchmark.step_of(one, 2, step_benchmark.FORWARDS[forward])
        step()
        step()
    for name, value in network.state_dict().items():
        assert torch.equal(value, fused.state_dict()[name]), name


def interrupted(after: int) -> Callable[[], float]:
    """A side whose turn after so many is interrupted by Ctrl-C."""
    taken: list[int] = []

    def turn() -> float:
        taken.append(1)
        if len(taken) > after:
            raise KeyboardInterrupt
        return 2.0

    return turn


def test_ctrl_c_prints_the_rows_of_whole_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> turns.Rows:
        measured = session(9).take_turns({"ours": lambda: 4.0, "peer": interrupted(3)})
        yield turns.row_of_rounds("speed", measured, "ours", "peer", unit="images/s")
        measured.stop()
        raise AssertionError("goes on")

    with pytest.raises(SystemExit) as end:
        turns.show(rows(), as_json=True)
    assert end.value.code == turns.INTERRUPTED
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"rows", "machine", "versions"}
    (row,) = printed["rows"]
    assert row.keys() > KEYS | {"instructions", "date", "interval"}
    assert (row["ratio"], row["rounds"]) == (2.0, 2)


def test_ctrl_c_before_the_first_round_prints_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        turns.show((turns.row("x", 1, 1, peer_name=str(_never()), unit="") for _ in "a"), as_json=True)
    assert json.loads(capsys.readouterr().out)["rows"] == []


def _never() -> None:
    session(9).take_turns({"ours": interrupted(0)})


def test_a_ratio_is_the_median_of_rounds_and_says_what_part_of_the_ceiling_is_reached() -> None:
    measured = turns.Rounds(
        {"ours": [10.0, 20.0, 60.0], "peer": [5.0, 20.0, 20.0], "top": [20.0, 40.0, 60.0]}
    )
    row = turns.row_of_rounds("speed", measured, "ours", "peer", unit="s", ceiling="top")
    assert (row["ours"], row["peer"], row["ratio"], row["interval"]) == (20.0, 20.0, 2.0, [1.0, 3.0])
    assert (row["ceiling"], row["of_ceiling"]) == (40.0, 0.5)
    less = turns.row_of_rounds("time", measured, "ours", "peer", unit="s", less_is_better=True)
    assert less["ratio"] == 0.5


def test_tables_keep_instruction_sets_apart() -> None:
    row = {**turns.row("speed", 3, 2, peer_name="a loop", unit="images/s"), "date": "2026-01-01"}
    document = {"machine": "2 cores", "versions": {"torch": "2.11"}}
    documents = [
        (f"{name}.py", {**document, "rows": [{**row, "instructions": name}]}) for name in ("AVX512", "AVX2")
    ]
    avx2, avx512 = table.tables(documents).split("**AVX512**")
    assert "| `AVX2.py` | speed, images/s | 3 | 2, a loop | 1.50 |" in avx2
    assert "| `AVX512.py` |" in avx512
    assert "AVX512" not in avx2
