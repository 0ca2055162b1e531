"""Grids: finished runs are reused, interrupted ones resumed; the page shows the numbers of the runs."""

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
from scipy import stats

from eyes import Eyes
from residua.errors import ConfigError, DataError
from residua.jobs import run_pool
from residua.jobs.evaluate import evaluate
from residua.jobs.run_pool import PoolEntry, finish
from residua.measure.score import wilson
from residua.nn.network import Network, build
from residua.report.page import render
from residua.reproduce import grid, items, reproductions_md
from residua.reproduce.grid import (
    GridSetting,
    grid_recipe,
    row_differences,
    row_label,
    run_entries,
    run_folder,
    with_one_precision,
)
from residua.reproduce.items import ITEMS, find_item
from residua.reproduce.ladder import EXTENTS, ladder_runs
from residua.reproduce.measured import Reproduction, reproduce_row, require_same_images, row_value
from residua.reproduce.page import checked_claims, page, table_rows, unseen_views_note
from residua.reproduce.published import Budget, PublishedRow
from residua.reproduce.reproduction import reproduce
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.recipe import Plan
from residua.spec.record import to_json
from residua.training.plan import PlanChoice

SETTING = GridSetting("digits", True, "smoke")
IGNORE_EVENTS = lambda *_: None  # noqa: E731


@pytest.fixture(autouse=True)
def _with_tiny_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "ITEMS", {**items.ITEMS, ITEM.name: ITEM})


@pytest.fixture(scope="module")
def grid_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], Run]]:
    """A folder with the finished runs of two seeds; not to be changed."""
    folder = tmp_path_factory.mktemp("grid")
    runs = {}
    for key, entry in run_entries(ITEM, SETTING, folder / "runs", seeds=2).items():
        finish(entry, listen=IGNORE_EVENTS, stop=lambda: False)
        runs[key] = Run(entry.path)
    return folder, runs


def test_a_grid_reuses_every_finished_run(grid_runs: tuple[Path, dict[tuple[str, int], Run]]) -> None:
    folder, runs = grid_runs
    before = {run.path: (run.path / "metrics.jsonl").stat().st_mtime_ns for run in runs.values()}
    reproduction = reproduce(ITEM.name, seeds=2, out=folder)  # starts no process: nothing is missing
    assert before == {run.path: (run.path / "metrics.jsonl").stat().st_mtime_ns for run in runs.values()}
    assert len(list((folder / "runs").iterdir())) == 4
    assert reproduction.report.read_text().startswith("<!")


def test_the_table_shows_the_numbers_of_the_runs(
    look: Eyes, grid_runs: tuple[Path, dict[tuple[str, int], Run]], tmp_path: Path
) -> None:
    _, runs = grid_runs
    one, two, three, size = (reproduce_row(ITEM, row, SETTING, runs, seeds=2) for row in ITEM.rows)
    last = [json.loads((runs["tiny1", seed].path / "finished.json").read_text()) for seed in (0, 1)]
    errors = [row["test_error"] for row in last]
    assert one.values == tuple(errors)
    assert one.mean == pytest.approx(sum(errors) / 2)
    assert one.deviation == pytest.approx(statistics.stdev(errors))
    assert one.label == two.label == "different data"
    assert math.isnan(one.difference)  # the paper's number is of other images
    assert dataclasses.replace(one, label="scaled down").difference == pytest.approx(sum(errors) / 2 - 9.5)
    assert re.search("not trained .*budget smoke", three.note)
    assert math.isnan(three.difference)
    assert size.values == (sum(w.numel() for w in build(ITEM.rows[0].network.arch()).parameters()),)
    reproduction = Reproduction(ITEM, SETTING, (one, two, three, size), "digits", Path("x.html"), 1.0)
    assert table_rows(reproduction)[0][:2] == ("one", "9.50 ± 0.50 (mean of 5)")
    assert [row[0] for row in table_rows(reproduction)] == ["one", "two", "size"]
    assert reproduction.labels_left_out == ("three",)
    (result,) = checked_claims(reproduction)  # three was not trained
    trained = [run.metrics[-1]["train_error"] for key, run in sorted(runs.items())]
    (pair,) = result.comparisons
    assert (pair.worse.values, pair.better.values) == (tuple(trained[:2]), tuple(trained[2:]))
    json.dumps(reproduction.plain(), allow_nan=False)
    html = render(page(reproduction))
    plain = re.sub("<wbr>|</?span[^>]*>", "", html)
    assert "residua reproduce he2015/tiny --budget smoke --seeds 2" in plain
    assert "weight decay 0.0001" in html
    (tmp_path / "page.html").write_text(html)
    look(tmp_path / "page.html")


def test_an_interrupted_grid_is_resumed(
    tmp_path: Path, grid_runs: tuple[Path, dict[tuple[str, int], Run]]
) -> None:
    steps = 0

    def soon() -> bool:
        nonlocal steps
        steps += 1
        return steps > 60

    first, second = run_entries(ITEM, SETTING, tmp_path / "runs", seeds=1).values()
    assert finish(first, listen=IGNORE_EVENTS, stop=soon) is None
    assert 0 < len(Run(first.path).metrics) < 5
    assert not Run(second.path).path.exists()
    again = run_entries(ITEM, SETTING, tmp_path / "runs", seeds=1)
    assert [entry.path for entry in again.values()] == [first.path, second.path]
    assert finish(again["tiny1", 0], listen=IGNORE_EVENTS, stop=lambda: False)
    resumed, whole = Run(first.path).metrics[-1], grid_runs[1]["tiny1", 0].metrics[-1]
    names = ("train_error", "test_error", "train_loss")
    assert [resumed[name] for name in names] == [whole[name] for name in names]


def test_what_waits_when_a_grid_is_stopped_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setitem(run_pool._worker, "stop", stopped)
    first, *_ = run_entries(ITEM, SETTING, tmp_path / "runs", seeds=1).values()
    assert run_pool._train(first) is None
    assert not first.path.exists()


def test_another_recipe_gets_another_folder(grid_runs: tuple[Path, dict[tuple[str, int], Run]]) -> None:
    folder, runs = grid_runs
    run = runs["tiny1", 0]
    recipe = grid_recipe(ITEM, ITEM.rows[0].network.arch(), SETTING)
    assert run_folder(folder / "runs", run.path.name, recipe) == run.path
    longer = grid_recipe(ITEM, ITEM.rows[0].network.arch(), GridSetting("digits", True, "small"))
    assert run_folder(folder / "runs", run.path.name, longer).name == f"{run.path.name}-2"
    threads = grid_recipe(ITEM, ITEM.rows[0].network.arch(), GridSetting("digits", True, "smoke", threads=7))
    assert run_folder(folder / "runs", run.path.name, threads) == run.path


def test_runs_of_different_images_are_not_mixed(tmp_path: Path) -> None:
    identity = {"classes": ["x"], "train": 1, "test": 1, "unreadable": {}, "fingerprints": ""}
    older = {"classes": ["x"], "train": 1, "test": 1, "unreadable": {}}  # of an older residua
    for name, known in (("a", identity), ("b", identity | {"digest": "2"}), ("c", older)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.json").write_text(json.dumps({"digest": "1"} | known))
    require_same_images([Run(tmp_path / "a"), Run(tmp_path / "c")])
    with pytest.raises(DataError, match="different images"):
        require_same_images([Run(tmp_path / "a"), Run(tmp_path / "b")])


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
def test_a_label_follows_from_data_and_budget(
    source: str, budget: Budget, data: str, images: int, label: str
) -> None:
    row = PublishedRow("", ITEM.rows[0].network, data=data)
    setting = GridSetting(source, True, budget)
    recipe = grid_recipe(ITEM, row.network.arch(), setting)
    differences = row_differences(ITEM, row, recipe, setting=setting, images=images)
    assert row_label(ITEM, row, differences, setting) == label
    assert bool(differences) == (label == "scaled down")


def test_a_protocol_that_was_not_published_is_no_same_protocol() -> None:
    item = find_item("duta2020/depths-cifar")
    row, setting = item.rows[0], GridSetting("cifar10:/x", True, "full")
    recipe = grid_recipe(item, row.network.arch(), setting)
    differences = row_differences(item, row, recipe, setting=setting, images=50_000)
    assert row_label(item, row, differences, setting) == "protocol not available"


def test_another_network_is_scaled_down() -> None:
    row = PublishedRow("", ITEM.rows[0].network, data="cifar10", small_network=ITEM.rows[1].network)
    setting = GridSetting("cifar10:/x", True, "full")
    recipe = grid_recipe(ITEM, row.network.arch(), setting)
    differences = row_differences(ITEM, row, recipe, setting=setting, images=50_000)
    assert differences[0].field == "network"
    assert row_label(ITEM, row, differences, setting) == "scaled down"


@pytest.mark.parametrize("name", ["cifar_plain20", "cifar_resnet56", "cifar_resnet110"])
def test_the_small_budget_keeps_the_papers_batch_and_warms_up_every_network(name: str) -> None:
    item, arch = ITEMS["he2015/fig6"], zoo.arch(name)
    full, small, earlier = (
        grid_recipe(item, arch, GridSetting("cifar10", True, budget, is_earlier=is_earlier))
        for budget, is_earlier in (("full", False), ("small", False), ("small", True))
    )
    assert (full.budget.steps, full.budget.batch_size) == (64_000, 128)
    assert (small.budget.steps, small.budget.batch_size) == (6_000, 128)
    warm_up = small.schedule.warmup * small.budget.steps, small.schedule.warmup_lr_factor * small.optim.lr
    assert warm_up == pytest.approx((400, 0.01))  # He et al. 2016, appendix
    assert small.schedule.flat_warmup
    assert (small.optim, small.augment) == (full.optim, full.augment)
    assert small.schedule.drops == full.schedule.drops
    assert (earlier.budget.steps, earlier.budget.batch_size) == (4_000, 64)
    assert earlier.schedule == full.schedule
    assert full.plan.precision == "float32"


def test_networks_may_have_different_numbers_of_runs(
    tmp_path: Path,
) -> None:
    first, second = (network.arch().name for network in ITEM.networks("smoke", small_images=True)[:2])
    names = {network.arch().name: 1 for network in ITEM.networks("smoke", small_images=True)}
    entries = run_entries(ITEM, SETTING, tmp_path, seeds={**names, first: 3})
    assert [seed for name, seed in entries if name == first] == [0, 1, 2]
    assert [seed for name, seed in entries if name == second] == [0]


def test_a_row_has_the_interval_of_its_seeds_or_of_its_images(
    grid_runs: tuple[Path, dict[tuple[str, int], Run]],
) -> None:
    row = reproduce_row(ITEM, ITEM.rows[0], SETTING, grid_runs[1], seeds=2)
    reach = stats.t.ppf(0.975, 1) * row.deviation / math.sqrt(2)
    assert row.interval == pytest.approx((max(0, row.mean - reach), min(100, row.mean + reach)))
    assert dataclasses.replace(row, values=(1.0, 9.0)).interval == (
        0.0,
        pytest.approx(5 + 4 * stats.t.ppf(0.975, 1)),
    )
    assert dataclasses.replace(row, values=(92.0, 98.0)).interval == (
        pytest.approx(95 - 3 * stats.t.ppf(0.975, 1)),
        100.0,
    )
    single = reproduce_row(ITEM, ITEM.rows[0], SETTING, grid_runs[1], seeds=1)
    images = int(single.runs[0].identity["test"])
    assert single.interval == wilson(round(single.mean / 100 * images), images)


def test_the_main_path_of_resstage_has_four_activations_at_any_depth(tmp_path: Path) -> None:
    result = reproduce("duta2020/main-path", out=tmp_path)
    assert {row.published.label: row.values for row in result.rows} == {
        "ResNet-50": (16.0,),
        "ResNet-101": (33.0,),
        "ResNet-152": (50.0,),
        "ResNet-200": (66.0,),
        **{f"ResStage-{depth}": (4.0,) for depth in (50, 101, 152, 200)},
    }
    assert [claim.outcome for claim in checked_claims(result)] == ["seen"]


def test_runs_that_diverged_are_counted_and_judged(
    grid_runs: tuple[Path, dict[tuple[str, int], Run]], tmp_path: Path
) -> None:
    def diverged(run: Run) -> Run:
        shutil.copytree(run.path, place := tmp_path / run.path.name)
        (place / "finished.json").unlink()
        (place / "diverged.json").write_text("{}")
        return Run(place)

    runs = dict(grid_runs[1])
    runs["tiny1", 1] = diverged(runs["tiny1", 1])
    one, two, *_ = (reproduce_row(ITEM, row, SETTING, runs, seeds=2) for row in ITEM.rows)
    assert (len(one.values), one.num_diverged) == (1, 1)
    reproduction = Reproduction(ITEM, SETTING, (one, two), "digits", Path("x.html"), 1.0)
    assert "(n = 1, 1 more diverged)" in table_rows(reproduction)[0][2]
    runs["tiny1", 0] = diverged(runs["tiny1", 0])
    one = reproduce_row(ITEM, ITEM.rows[0], SETTING, runs, seeds=2)
    assert "diverged" in one.note
    (result,) = checked_claims(Reproduction(ITEM, SETTING, (one, two), "digits", Path("x.html"), 1.0))
    assert result.outcome == "seen"
    assert "one diverged" in result.sentence
    earlier = dataclasses.replace(SETTING, is_earlier=True)
    assert not checked_claims(Reproduction(ITEM, earlier, (one, two), "digits", Path("x.html"), 1.0))


def test_a_grid_is_trained_in_one_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def choose(network: Network, plan: Plan, **_: int) -> PlanChoice:
        measured.append(network.arch.name)
        return PlanChoice(dataclasses.replace(plan, precision="bfloat16"), "")

    monkeypatch.setattr(grid, "choose_plan", choose)
    grid_entries = run_entries(ITEM, GridSetting("cifar10", True, "small"), tmp_path, seeds=2).values()
    assert {entry.recipe.plan.precision for entry in grid_entries} == {"auto"}
    assert {entry.recipe.plan.precision for entry in with_one_precision(grid_entries)} == {"bfloat16"}
    assert measured == ["tiny1"]
    (first, *_) = grid_entries
    begun = dataclasses.replace(first.recipe, plan=Plan(precision="float32"))
    first.path.mkdir(parents=True)
    (first.path / "recipe.json").write_text(to_json(begun))
    assert {entry.recipe.plan.precision for entry in with_one_precision(grid_entries)} == {"float32"}
    assert measured == ["tiny1"]
    digits = run_entries(ITEM, SETTING, tmp_path, seeds=1).values()
    assert {entry.recipe.plan.precision for entry in with_one_precision(digits)} == {"float32"}
    assert {entry.recipe.plan.threads for entry in digits} == {1}


def test_the_precision_of_a_run_of_epochs_is_measured_for_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def choose(network: Network, plan: Plan, *, steps: int, **_: int) -> PlanChoice:
        lengths.append(steps)
        return PlanChoice(dataclasses.replace(plan, precision="bfloat16"), "")

    monkeypatch.setattr(grid, "choose_plan", choose)
    run_recipe = ladder_runs(EXTENTS["full"])["strong"].recipe("cifar10", threads=1)
    entry = PoolEntry("strong", Path("nowhere"), run_recipe)
    with_one_precision([entry], timed=entry, images=50_000)
    assert lengths == [run_recipe.budget.epochs * 50_000 // run_recipe.budget.batch_size]


def test_counts_need_no_training(tmp_path: Path) -> None:
    reproduction = reproduce("he2015/table1", out=tmp_path)
    assert not (tmp_path / "runs").exists()
    for row in reproduction.rows:
        assert row.values[0] == pytest.approx(row.published.paper, rel=0.03)  # the paper rounds to 0.1 G


@pytest.mark.parametrize(
    ("name", "words"),
    [("he2016/fig2", ("sigmoid", "dropout", "0.5")), ("he2015/fig3", ("zeros to 512, /2", "fc, 4096"))],
)
def test_blocks_and_networks_are_drawn(name: str, words: tuple[str, ...], look: Eyes, tmp_path: Path) -> None:
    reproduction = reproduce(name, out=tmp_path)
    page = reproduction.report.read_text()
    assert page.count('class="network"') == len(reproduction.item.rows)
    assert all(f">{word}<" in page for word in words)
    assert "nothing was trained" in page
    look(reproduction.report)


def test_views_unlike_the_training_images_are_named(
    grid_runs: tuple[Path, dict[tuple[str, int], Run]],
) -> None:
    row = dataclasses.replace(ITEM.rows[0], views="10crop")
    rows = [
        dataclasses.replace(reproduce_row(ITEM, ITEM.rows[0], SETTING, grid_runs[1], seeds=1), published=each)
        for each in (ITEM.rows[0], row)
    ]
    cropped, centred = (
        Reproduction(ITEM, SETTING, tuple(some), "digits", Path("x.html"), 1.0) for some in (rows, rows[:1])
    )
    assert "10crop" in unseen_views_note(cropped)
    assert unseen_views_note(centred) == ""


def test_arguments_that_cannot_be_used_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = dataclasses.replace(ITEM, name="he2015/deep", rows=ITEM.rows[2:3], claims=())
    monkeypatch.setitem(items.ITEMS, deep.name, deep)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"needs cifar10: give --data cifar10:DIR"):
        reproduce("he2015/fig6", budget="small", out=tmp_path)
    with pytest.raises(ConfigError, match=r"nothing .*budget small"):
        reproduce("he2015/deep", budget="small", data="digits", out=tmp_path)
    with pytest.raises(ConfigError, match="no budget 'huge'"):
        reproduce("he2015/fig6", budget="huge", out=tmp_path)  # type: ignore[arg-type]


def test_the_markdown_page_shows_what_is_finished(
    tmp_path: Path, grid_runs: tuple[Path, dict[tuple[str, int], Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproductions_md, "ITEMS", {ITEM.name: ITEM})
    assert reproductions_md.write_docs(tmp_path / "page.md", grid_runs[0]) == 1
    text = (tmp_path / "page.md").read_text()
    assert "## he2015/tiny, smoke" in text
    assert "(n = 2)" in text
    with pytest.raises(ConfigError, match="holds no finished reproduction"):
        reproductions_md.write_docs(tmp_path / "page.md", tmp_path)
    assert (tmp_path / "page.md").read_text() == text


def test_other_views_are_measured_once_and_kept(
    grid_runs: tuple[Path, dict[tuple[str, int], Run]], tmp_path: Path
) -> None:
    run = Run(shutil.copytree(grid_runs[1]["tiny1", 0].path, tmp_path / "run"))
    flipped = PublishedRow("", ITEM.rows[0].network, measure="top1_error", views="flip")
    (score,) = evaluate(run, views=["flip"])
    assert row_value(run, flipped) == pytest.approx(score.error)
    center = dataclasses.replace(flipped, views="center")
    assert row_value(run, center) == run.metrics[-1]["test_error"]
    scores = json.loads((run.path / "scores.json").read_text())
    scores["flip"]["top1_error"], scores["flip"]["top5_error"] = 12.5, None
    (run.path / "scores.json").write_text(json.dumps(scores))
    assert row_value(run, flipped) == 12.5
    assert row_value(run, dataclasses.replace(flipped, measure="top5_error")) is None
    row = reproduce_row(
        ITEM,
        dataclasses.replace(flipped, measure="top5_error"),
        GridSetting("photos", False, "smoke"),
        {("tiny1", 0): run},
        seeds=1,
    )
    assert row.note == "five classes or fewer"
