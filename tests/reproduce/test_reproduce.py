"""Grids: what is finished is reused, what was interrupted goes on, and numbers are those of the runs."""

import dataclasses
import json
import math
import re
import shutil
import statistics
import threading
from pathlib import Path

import pytest
from grid_runs import ITEM

from eyes import Eyes
from residua.errors import DataError
from residua.jobs import run_pool
from residua.jobs.evaluate import evaluate
from residua.jobs.run_pool import finish
from residua.nn.network import Network, build
from residua.report.page import render
from residua.reproduce import grid, items, reproductions_md
from residua.reproduce.grid import Setting, departed, entries, label_of, one_arithmetic, place_of, recipe_of
from residua.reproduce.measured import measured
from residua.reproduce.page import page, rows, unfamiliar, verdicts
from residua.reproduce.published import Budget, PublishedRow
from residua.reproduce.reproduce import Reproduction, line_of, reproduce
from residua.runs.run import Run
from residua.spec.recipe import Plan
from residua.spec.record import to_json
from residua.training.plan import Chosen

SETTING = Setting("digits", True, "smoke")
NOBODY = lambda *_: None  # noqa: E731


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "ITEMS", {**items.ITEMS, ITEM.name: ITEM})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], Run]]:
    """A folder with the finished runs of two seeds; not to be changed."""
    folder = tmp_path_factory.mktemp("grid")
    found = {}
    for key, entry in entries(ITEM, SETTING, folder / "runs", seeds=2).items():
        finish(entry, listen=NOBODY, stop=lambda: False)
        found[key] = Run(entry.path)
    return folder, found


def test_a_grid_reuses_every_finished_run(made: tuple[Path, dict[tuple[str, int], Run]]) -> None:
    folder, runs = made
    before = {run.path: (run.path / "metrics.jsonl").stat().st_mtime_ns for run in runs.values()}
    found = reproduce(ITEM.name, seeds=2, out=folder)  # no process is started: there is nothing to train
    assert before == {run.path: (run.path / "metrics.jsonl").stat().st_mtime_ns for run in runs.values()}
    assert len(list((folder / "runs").iterdir())) == 4
    assert found.report.read_text().startswith("<!")


def test_the_table_says_what_the_runs_say(
    look: Eyes, made: tuple[Path, dict[tuple[str, int], Run]], tmp_path: Path
) -> None:
    _, runs = made
    one, two, three, size = (line_of(ITEM, row, SETTING, runs, seeds=2) for row in ITEM.rows)
    last = [json.loads((runs["tiny1", seed].path / "finished.json").read_text()) for seed in (0, 1)]
    errors = [row["test_error"] for row in last]
    assert one.values == tuple(errors)
    assert one.mean == pytest.approx(sum(errors) / 2)
    assert one.deviation == pytest.approx(statistics.stdev(errors))
    assert one.difference == pytest.approx(sum(errors) / 2 - 9.5)
    assert one.label == two.label == "different data"
    assert three.note == "not trained at the budget smoke"
    assert math.isnan(three.difference)
    assert size.values == (sum(w.numel() for w in build(ITEM.rows[0].net.arch()).parameters()),)
    found = Reproduction(ITEM, SETTING, (one, two, three, size), "digits", Path("x.html"), 1.0)
    assert rows(found)[0][:2] == ("one", "9.50 ± 0.50 (mean of 5)")
    assert [row[0] for row in rows(found)] == ["one", "two", "size"]
    assert found.left_out == ("three",)
    (verdict,) = verdicts(found)
    trained = [run.metrics[-1]["train_error"] for key, run in sorted(runs.items())]
    seen = sum(trained[:2]) > sum(trained[2:])
    assert verdict.startswith("Seen here" if seen else "Not seen here")
    json.dumps(found.plain(), allow_nan=False)
    drawn = render(page(found))
    plain = re.sub("<wbr>|</?span[^>]*>", "", drawn)
    assert "residua reproduce he2015/tiny --budget smoke --seeds 2" in plain
    assert "weight decay of 0.0001" in drawn
    (tmp_path / "page.html").write_text(drawn)
    look(tmp_path / "page.html")


def test_an_interrupted_grid_goes_on_where_it_stopped(
    tmp_path: Path, made: tuple[Path, dict[tuple[str, int], Run]]
) -> None:
    steps = 0

    def soon() -> bool:
        nonlocal steps
        steps += 1
        return steps > 60

    first, second = entries(ITEM, SETTING, tmp_path / "runs", seeds=1).values()
    assert finish(first, listen=NOBODY, stop=soon) is None
    assert 0 < len(Run(first.path).metrics) < 5
    assert not Run(second.path).path.exists()
    again = entries(ITEM, SETTING, tmp_path / "runs", seeds=1)
    assert [entry.path for entry in again.values()] == [first.path, second.path]
    assert finish(again["tiny1", 0], listen=NOBODY, stop=lambda: False)
    kept = ("train_error", "test_error", "train_loss")
    ended, whole = Run(first.path).metrics[-1], made[1]["tiny1", 0].metrics[-1]
    assert [ended[name] for name in kept] == [whole[name] for name in kept]


def test_what_waits_when_a_grid_is_stopped_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setitem(run_pool._shared, "stop", stopped)
    first, *_ = entries(ITEM, SETTING, tmp_path / "runs", seeds=1).values()
    assert run_pool._train(first) is None
    assert not first.path.exists()


def test_another_recipe_gets_another_folder(made: tuple[Path, dict[tuple[str, int], Run]]) -> None:
    folder, runs = made
    run = runs["tiny1", 0]
    wanted = recipe_of(ITEM, ITEM.rows[0].net.arch(), SETTING)
    assert place_of(folder / "runs", run.path.name, wanted) == run.path
    longer = recipe_of(ITEM, ITEM.rows[0].net.arch(), Setting("digits", True, "small"))
    assert place_of(folder / "runs", run.path.name, longer).name == f"{run.path.name}-2"
    threads = recipe_of(ITEM, ITEM.rows[0].net.arch(), Setting("digits", True, "smoke", threads=7))
    assert place_of(folder / "runs", run.path.name, threads) == run.path


def test_runs_that_saw_other_images_are_not_mixed(tmp_path: Path) -> None:
    for name, digest in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.json").write_text(json.dumps({"digest": digest}))
    from residua.reproduce.reproduce import same_images

    same_images([Run(tmp_path / "a")])
    with pytest.raises(DataError, match="saw different images"):
        same_images([Run(tmp_path / "a"), Run(tmp_path / "b")])


@pytest.mark.parametrize(
    ("source", "budget", "data", "images", "label"),
    [
        ("cifar10:/x", "full", "cifar10", 50_000, "same protocol"),
        ("cifar10:/x", "full", "cifar10", 2_000, "scaled down"),
        ("cifar10:/x", "small", "cifar10", 50_000, "scaled down"),
        ("cifar10:/x", "full", "cifar100", 50_000, "different data"),
        ("photos", "full", "imagenet", 1_281_167, "different data"),
        ("digits", "smoke", "cifar10", 1_433, "different data"),
    ],
)
def test_labels_are_earned(source: str, budget: Budget, data: str, images: int, label: str) -> None:
    row = PublishedRow("", ITEM.rows[0].net, data=data)
    setting = Setting(source, True, budget)
    recipe = recipe_of(ITEM, row.net.arch(), setting)
    found = departed(ITEM, row, recipe, setting=setting, images=images)
    assert label_of(row, found, setting) == label
    assert bool(found) == (label == "scaled down")


def test_what_stands_in_is_scaled_down() -> None:
    row = PublishedRow("", ITEM.rows[0].net, data="cifar10", stand_in=ITEM.rows[1].net)
    setting = Setting("cifar10:/x", True, "full")
    recipe = recipe_of(ITEM, row.net.arch(), setting)
    found = departed(ITEM, row, recipe, setting=setting, images=50_000)
    assert found[0].what == "network"
    assert label_of(row, found, setting) == "scaled down"


def test_a_budget_shortens_the_papers_schedule_and_nothing_else() -> None:
    arch = ITEM.rows[0].net.arch()
    full = recipe_of(ITEM, arch, Setting("cifar10", True, "full"))
    small = recipe_of(ITEM, arch, Setting("cifar10", True, "small"))
    assert (full.budget.steps, full.budget.batch_size) == (64_000, 128)
    assert (small.budget.steps, small.budget.batch_size) == (4_000, 64)
    assert (small.optim, small.schedule, small.augment) == (full.optim, full.schedule, full.augment)
    assert full.plan.precision == "float32"


def test_a_grid_is_trained_in_one_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def choose(network: Network, plan: Plan, **_: int) -> Chosen:
        measured.append(network.arch.name)
        return Chosen(dataclasses.replace(plan, precision="bfloat16"), "")

    monkeypatch.setattr(grid, "choose", choose)
    wanted = entries(ITEM, Setting("cifar10", True, "small"), tmp_path, seeds=2).values()
    assert {entry.recipe.plan.precision for entry in wanted} == {"auto"}
    assert {entry.recipe.plan.precision for entry in one_arithmetic(wanted)} == {"bfloat16"}
    assert measured == ["tiny1"]
    (first, *_) = wanted
    begun = dataclasses.replace(first.recipe, plan=Plan(precision="float32"))
    first.path.mkdir(parents=True)
    (first.path / "recipe.json").write_text(to_json(begun))
    assert {entry.recipe.plan.precision for entry in one_arithmetic(wanted)} == {"float32"}
    assert measured == ["tiny1"]
    digits = entries(ITEM, SETTING, tmp_path, seeds=1).values()
    assert {entry.recipe.plan.precision for entry in one_arithmetic(digits)} == {"float32"}
    assert {entry.recipe.plan.threads for entry in digits} == {1}


def test_counts_need_no_training(tmp_path: Path) -> None:
    found = reproduce("he2015/table1", out=tmp_path)
    assert not (tmp_path / "runs").exists()
    for line in found.lines:
        assert line.values[0] == pytest.approx(line.row.paper, rel=0.03)  # the paper rounds to 0.1 G


@pytest.mark.parametrize(
    ("name", "shown"),
    [("he2016/fig2", ("sigmoid", "dropout", "0.5")), ("he2015/fig3", ("zeros to 512, /2", "fc, 4096"))],
)
def test_what_is_drawn_is_drawn(name: str, shown: tuple[str, ...], look: Eyes, tmp_path: Path) -> None:
    found = reproduce(name, out=tmp_path)
    page = found.report.read_text()
    assert page.count('class="network"') == len(found.item.rows)
    assert all(f">{word}<" in page for word in shown)
    assert "nothing was trained" in page
    look(found.report)


def test_views_that_no_training_image_looked_like_are_said(
    made: tuple[Path, dict[tuple[str, int], Run]],
) -> None:
    row = dataclasses.replace(ITEM.rows[0], views="10crop")
    lines = [
        dataclasses.replace(line_of(ITEM, ITEM.rows[0], SETTING, made[1], seeds=1), row=each)
        for each in (ITEM.rows[0], row)
    ]
    cropped, centred = (
        Reproduction(ITEM, SETTING, kept, "digits", Path("x.html"), 1.0) for kept in (lines, lines[:1])
    )
    assert "Tested with 10crop, but trained on images as they are" in unfamiliar(cropped)
    assert unfamiliar(centred) == ""


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = dataclasses.replace(ITEM, name="he2015/deep", rows=ITEM.rows[2:3], claims=())
    monkeypatch.setitem(items.ITEMS, deep.name, deep)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"needs cifar10: give --data cifar10:DIR"):
        reproduce("he2015/fig6", budget="small", out=tmp_path)
    with pytest.raises(ValueError, match="trains nothing at the budget small"):
        reproduce("he2015/deep", budget="small", data="digits", out=tmp_path)
    with pytest.raises(ValueError, match="no budget 'huge'"):
        reproduce("he2015/fig6", budget="huge", out=tmp_path)  # type: ignore[arg-type]


def test_the_ledger_holds_what_is_finished(
    tmp_path: Path, made: tuple[Path, dict[tuple[str, int], Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproductions_md, "ITEMS", {ITEM.name: ITEM})
    assert reproductions_md.write_docs(tmp_path / "page.md", made[0]) == 1
    said = (tmp_path / "page.md").read_text()
    assert "## he2015/tiny, smoke" in said
    assert "(n = 2)" in said
    with pytest.raises(ValueError, match="holds no finished reproduction"):
        reproductions_md.write_docs(tmp_path / "page.md", tmp_path)
    assert (tmp_path / "page.md").read_text() == said


def test_other_views_are_measured_once_and_kept(
    made: tuple[Path, dict[tuple[str, int], Run]], tmp_path: Path
) -> None:
    run = Run(shutil.copytree(made[1]["tiny1", 0].path, tmp_path / "run"))
    flipped = PublishedRow("", ITEM.rows[0].net, measure="top1_error", views="flip")
    (score,) = evaluate(run, views=["flip"])
    assert measured(run, flipped) == pytest.approx(score.error)
    center = dataclasses.replace(flipped, views="center")
    assert measured(run, center) == run.metrics[-1]["test_error"]
    kept = json.loads((run.path / "scores.json").read_text())
    kept["flip"]["top1_error"], kept["flip"]["top5_error"] = 12.5, None
    (run.path / "scores.json").write_text(json.dumps(kept))
    assert measured(run, flipped) == 12.5
    assert measured(run, dataclasses.replace(flipped, measure="top5_error")) is None
    line = line_of(
        ITEM,
        dataclasses.replace(flipped, measure="top5_error"),
        Setting("photos", False, "smoke"),
        {("tiny1", 0): run},
        seeds=1,
    )
    assert line.note == "five classes or fewer"
