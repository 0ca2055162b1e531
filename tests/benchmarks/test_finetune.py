"""The benchmark of fine-tuning: a split by names alone, the same files for all, turns that are kept."""

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import finetune
import finetune_peers as peers

TURN = finetune.Turn("resnet20.akamaster", "caltech", 32, 3, 0, "loop")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in ("caltech", "imagenette", "bccd", "cells"):
        (tmp_path / name).mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "caltech" / name).mkdir()
        for number in range(10):
            (tmp_path / "caltech" / name / f"{number}.jpg").write_text(f"{name} {number}")
    return tmp_path


def options(work: Path, **changes: object) -> argparse.Namespace:
    values = {"nets": ["resnet20.akamaster"], "data": ["caltech"], "pixels": [32], "images": [3], "rounds": 2}
    more = {"methods": ["loop", "timm"], "ours": "loop", "work": work, "store": None}
    return argparse.Namespace(**{**values, **more, **changes})


def test_seeds_draw_other_training_images_and_never_test_images(work: Path) -> None:
    places = [finetune.folder_of(TURN, work, work / "a")]
    places.append(finetune.folder_of(finetune.Turn(*TURN.task, 1, "loop"), work, work / "b"))
    names = [{str(f.relative_to(place)) for f in place.glob("*/*/*")} for place in places]
    train, tests = ([{n for n in each if n.startswith(part)} for each in names] for part in ("train", "val"))
    assert [len(each) for each in (*train, *tests)] == [6, 6, 8, 8]
    assert tests[0] == tests[1]
    assert train[0] != train[1]
    assert not {n.removeprefix("train") for n in train[0] | train[1]} & {n[3:] for n in tests[0]}


def test_turns_are_kept_and_rows_compare_the_same_test_images(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def method(name: str, hits: str) -> object:
        def measure(job: peers.Job) -> peers.Outcome:
            assert len(job.test_files()) == 8
            calls.append(name)
            return peers.Outcome(2.0 if name == "loop" else 6.0, hits)

        return measure

    monkeypatch.setattr(
        peers, "PEERS", {"loop": method("loop", "11111100"), "timm": method("timm", "11000000")}
    )
    args = options(work)
    first = list(finetune.rows(args))
    assert sorted(calls) == ["loop", "loop", "timm", "timm"]
    assert list(finetune.rows(args)) == first
    assert len(calls) == 4
    accuracy, seconds = first
    assert (accuracy["ours"], accuracy["peer"], accuracy["seeds"]) == (75.0, 25.0, 2)
    low, high = accuracy["difference_interval"]
    assert low < accuracy["difference"] == 50.0 < high
    assert seconds["ratio"] == 3.0
    stored = json.loads((work / "finetune_turns.json").read_text())
    assert [row["hits"] for row in stored].count("11000000") == 2
    head, _, loop, timm = finetune.table(args).splitlines()
    assert "points" in head
    assert "75.0 (" in loop
    assert "+50.0" in timm
    assert "n = 8" in timm
    few_first = options(work, data=["caltech", "cells"], images=[10, 0], pixels=[32, 64])
    assert [task[1:] for task in finetune.tasks(few_first)][:3] == [
        ("caltech", 32, 10),
        ("cells", 32, 10),
        ("caltech", 32, 0),
    ]
