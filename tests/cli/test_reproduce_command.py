"""`residua reproduce` as people type it."""

import json
import signal
from pathlib import Path

import pytest

from command import LIMIT, residua, start, succeeded, wait_for


def test_the_list_has_every_item_with_cost_and_state(tmp_path: Path) -> None:
    items = {
        e["item"]: e for e in json.loads(succeeded(residua("reproduce", "--list", "--json", "-o", tmp_path)))
    }
    assert items["he2015/fig6"]["cost"]["full"].startswith("10 x 64,000, ")
    assert items["he2015/fig6"]["minutes"]["small"] < 150 < items["he2015/fig6"]["minutes"]["full"]
    assert items["he2015/fig6"]["state"] == "scaled"
    assert items["he2015/table1"]["state"] == "done"
    minutes = items["project/ladder"]["minutes"]
    assert minutes["smoke"] < 10 < minutes["full"] < 270
    assert (items["he2015/table8"]["state"], items["he2015/table8"]["data"]) == ("needs DATA", ["coco"])
    assert items["he2015/table9"]["state"] == "not feasible"
    assert "box refinement" in items["he2015/table9"]["reason"]
    assert {e["state"] for e in items.values()} <= {"done", "scaled", "needs DATA", "not feasible"}
    text = succeeded(residua("reproduce"))
    assert "duta2020/released" in text
    assert ["he2015/table4", "scaled", "imagenet"] in [line.split()[:3] for line in text.splitlines()]


def test_counts_need_no_training(tmp_path: Path) -> None:
    done = residua("reproduce", "he2015/table1", "--json", "-o", tmp_path)
    assert "counted" in done.stderr
    assert "seed" not in done.stderr
    result = json.loads(succeeded(done))
    first = result["rows"][0]
    assert (first["what"], first["paper"], first["label"]) == ("resnet18", 1.8e9, "counted")
    assert first["difference"] == first["ours"] - 1.8e9
    assert Path(result["report"]).read_text().startswith("<!")


def test_wrong_arguments_are_one_line_and_a_code(tmp_path: Path) -> None:
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
@pytest.mark.battery
def test_a_grid_that_is_stopped_keeps_its_runs(tmp_path: Path) -> None:
    grid = start("reproduce", "he2015/fig1", "-o", tmp_path)
    wait_for(tmp_path, "runs/*/recipe.json", grid)
    grid.send_signal(signal.SIGINT)
    out, err = grid.communicate(timeout=LIMIT)
    assert grid.returncode == 75, err
    assert "same command resumes" in out
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*.html"))
    assert list(tmp_path.glob("runs/*/checkpoints/*"))
