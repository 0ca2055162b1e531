"""`residua reproduce` as people type it."""

import json
import signal
from pathlib import Path

import pytest

from command import LIMIT, residua, start, succeeded, wait_for


def test_the_list_has_every_item_with_cost_and_state(tmp_path: Path) -> None:
    found = {
        e["item"]: e for e in json.loads(succeeded(residua("reproduce", "--list", "--json", "-o", tmp_path)))
    }
    assert found["he2015/fig6"]["cost"]["full"].startswith("10 x 64,000, ")
    assert found["he2015/fig6"]["minutes"]["small"] < 60 < found["he2015/fig6"]["minutes"]["full"]
    assert found["he2015/fig6"]["state"] == "scaled"
    assert found["he2015/table1"]["state"] == "done"
    assert (found["he2015/table8"]["state"], found["he2015/table8"]["data"]) == ("needs DATA", ["coco"])
    assert found["he2015/table9"]["state"] == "not feasible"
    assert "box refinement" in found["he2015/table9"]["reason"]
    assert {e["state"] for e in found.values()} <= {"done", "scaled", "needs DATA", "not feasible"}
    said = succeeded(residua("reproduce"))
    assert "duta2020/coco" in said
    assert ["he2015/table4", "scaled", "imagenet"] in [line.split()[:3] for line in said.splitlines()]
    assert "paper value not available" in said


def test_what_is_counted_is_counted_at_once(tmp_path: Path) -> None:
    found = json.loads(succeeded(residua("reproduce", "he2015/table1", "--json", "-o", tmp_path)))
    first = found["rows"][0]
    assert (first["what"], first["paper"], first["label"]) == ("resnet18", 1.8e9, "same protocol")
    assert first["difference"] == first["ours"] - 1.8e9
    assert Path(found["report"]).read_text().startswith("<!")


def test_wrong_wishes_are_one_line_and_a_code(tmp_path: Path) -> None:
    for words, hint in (
        (("he2015/fig66",), "did you mean he2015/fig6"),
        (("he2015/table5",), "cannot be reproduced"),
        (("he2015/fig6", "--budget", "large"), "no budget 'large'"),
        (("he2015/fig6", "--budget", "full"), "give --data cifar10:DIR"),
    ):
        done = residua("reproduce", *words, "-o", tmp_path)
        assert done.returncode == 2
        assert hint in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.timeout(300)  # a worker imports torch, and the machine may be busy
def test_a_grid_that_is_stopped_keeps_its_runs(tmp_path: Path) -> None:
    grid = start("reproduce", "he2015/fig1", "-o", tmp_path)
    wait_for(tmp_path, "runs/*/recipe.json", grid)
    grid.send_signal(signal.SIGINT)
    said, trouble = grid.communicate(timeout=LIMIT)
    assert grid.returncode == 75, trouble
    assert "goes on where this one ended" in said
    assert "Traceback" not in trouble
    assert not list(tmp_path.glob("*.html"))
    assert list(tmp_path.glob("runs/*/checkpoints/*"))
