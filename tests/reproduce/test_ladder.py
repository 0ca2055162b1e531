"""The class project's ladder: one idea a step, data that can be checked, and a page from its runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from command import residua
from residua.data.images import Images
from residua.data.open import open_dataset
from residua.report.ladder_chart import LadderRow, ladder_chart
from residua.reproduce import ladder, ladder_runs, ladder_steps
from residua.reproduce.ladder import EXTENTS, FLIPPED_SHARE, FOLDS, STEPS, Extent, LadderRun
from residua.reproduce.ladder import ladder_runs as runs_of
from residua.reproduce.ladder_data import clean_half, flipped_half, part_of, variant_images, write_cifar
from residua.reproduce.ladder_page import page, result_sentences, table_rows
from residua.reproduce.ladder_runs import reproduce_ladder
from residua.reproduce.ladder_steps import finished_ladder
from residua.reproduce.listing import LADDER_MACS_PER_SECOND
from residua.spec.describe import cost

COMMITTED = Path(__file__).parents[2] / "docs/results/reproduce"
RUNS = runs_of(EXTENTS["full"])


def images(count: int, name: str = "train", classes: int = 10) -> Images:
    chance = np.random.default_rng(count)
    pixels = chance.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = np.arange(count) % classes
    pixels[..., 0] = 25 * labels[:, None, None]  # the class can be learned
    return Images(name, tuple(f"class{place}" for place in range(classes)), labels, pixels=pixels)


def changed_fields(one: LadderRun, other: LadderRun) -> set[str]:
    fields = {field.name for field in dataclasses.fields(LadderRun)} - {"name"}
    return {name for name in fields if getattr(one, name) != getattr(other, name)}


def test_a_step_changes_what_belongs_to_its_idea() -> None:
    steps = {step.name: step for step in STEPS}
    changes = {step.name: changed_fields(RUNS[steps[step.before].run], RUNS[step.run]) for step in STEPS[1:]}
    assert changes == {
        "2a": {"optim", "schedule"},
        "2b": {"arch", "optim"},  # batch norms allow a higher learning rate
        "2c": {"augment"},
        "3": {"arch"},
        "4a": {"variant"},
        "4b": {"variant"},
        "4c": {"variant"},
        "5a": {"augment", "optim", "epochs", "updates", "average"},
        "5b": set(),
        "5c": set(),
    }
    assert [step.before for step in STEPS] == ["", *(step.name for step in STEPS[:-1])]


def test_runs_on_fewer_images_have_as_many_updates() -> None:
    for extent, updates in ((EXTENTS["full"], 1560), (EXTENTS["smoke"], 624)):
        runs = runs_of(extent)
        assert {run.updates for name, run in runs.items() if name != "strong"} == {updates}
        for run in runs.values():
            steps = run.recipe("cifar10", threads=1).budget.steps
            assert steps == (0 if run.variant == "all" else updates)


def test_the_network_that_aims_at_95_percent_is_meant_for_150_minutes() -> None:
    run = RUNS["strong"]
    assert cost(run.arch).macs * run.epochs * 50_000 / LADDER_MACS_PER_SECOND <= 150 * 60


def test_skip_connections_are_all_that_step_3_changes() -> None:
    plain, residual = RUNS["augmented"].arch, RUNS["skip"].arch
    words = [[block.word for stage in arch.stages for block in stage] for arch in (plain, residual)]
    assert words[1] == [word if word == "CPNA" else f"({word})" for word in words[0]]
    convs = [[block.convs for stage in arch.stages for block in stage] for arch in (plain, residual)]
    assert convs[0] == convs[1]


def test_a_fifth_of_the_labels_of_half_the_images_is_flipped() -> None:
    train = images(500)
    half = flipped_half(train)
    assert len(half.images) == 250
    assert half.is_flipped.sum() == FLIPPED_SHARE * 250
    assert np.array_equal(flipped_half(train).images.labels, half.images.labels)
    assert half.fold.sum() == 125
    first, second = (variant_images(fold, train, images(9, "test"), cleaned=images) for fold in FOLDS)
    assert np.array_equal(first[0].pixels, second[1].pixels)
    assert np.array_equal(first[1].pixels, second[0].pixels)


def test_a_sure_network_cleans_all_labels() -> None:
    half = flipped_half(images(1000))
    sure = np.full((500, 10), 0.002, np.float32)
    sure[np.arange(500), half.right] = 0.982
    cleaned, done = clean_half(half, sure)
    assert (done.corrected, done.corrected_right, done.dropped) == (100, 100, 0)
    assert np.array_equal(cleaned.labels, half.right)
    unsure = np.full((500, 10), 0.05, np.float32)
    unsure[np.arange(500), half.right] = 0.55
    cleaned, done = clean_half(half, unsure)
    assert (done.corrected, done.dropped, done.dropped_wrong) == (0, 100, 100)
    assert len(cleaned) == 400
    blind = np.full((500, 10), 0.1, np.float32)
    blind[:, 0] = 0.11  # right on a tenth: its errors would look like wrong labels
    cleaned, done = clean_half(half, blind)
    assert (done.corrected, done.dropped, len(cleaned)) == (0, 0, 500)


def test_written_images_are_read_back(tmp_path: Path) -> None:
    train, test = images(23), images(7, "test")
    write_cifar(tmp_path / "a", train, test)
    dataset = open_dataset(f"cifar10:{tmp_path / 'a'}", val_fraction=0.2)
    for written, read in ((train, dataset.train), (test, dataset.test)):
        assert np.array_equal(written.pixels, read.pixels)
        assert np.array_equal(written.labels, read.labels)
    assert dataset.train.classes == train.classes
    write_cifar(tmp_path / "a", images(21), test)  # what is there is kept
    assert len(open_dataset(f"cifar10:{tmp_path / 'a'}", val_fraction=0.2).train) == 23
    write_cifar(tmp_path / "a", images(21), test, anew=True)
    assert len(open_dataset(f"cifar10:{tmp_path / 'a'}", val_fraction=0.2).train) == 21
    some = part_of(dataset, (10, 5))
    assert [len(part) for part in some] == [10, 5]
    assert part_of(dataset, None) == (dataset.train, dataset.test)


def test_the_committed_ladder_is_what_its_runs_say() -> None:
    climb = finished_ladder("smoke", COMMITTED)
    assert climb
    for one in climb.steps:
        last = json.loads((one.run.path / "finished.json").read_text())
        if one.step.weights == "raw" and one.step.view == "center":
            in_bfloat16 = one.run.recipe.plan.precision == "bfloat16"  # validated so, tested in float32
            assert one.accuracy == pytest.approx(100 - last["test_error"], abs=0.5 if in_bfloat16 else 0.005)
        assert one.interval[0] < one.accuracy < one.interval[1]
        assert one.minutes > 0
    by_name = {one.step.name: one for one in climb.steps}
    assert np.array_equal(by_name["3"].right, by_name["4c"].right)
    assert by_name["3"].comparison
    assert by_name["3"].comparison.difference.value == pytest.approx(
        by_name["3"].accuracy - by_name["2c"].accuracy
    )
    assert len(table_rows(climb)) == len(STEPS)
    named = " ".join(result_sentences(climb))
    assert all(f"{step.name} {step.label}" in named for step in STEPS[1:] if step.name != "4a")
    assert "goal" not in named  # a tenth of the images has no goal
    assert page(climb).sections


def test_a_folder_without_all_runs_has_no_ladder(tmp_path: Path) -> None:
    assert finished_ladder("full", tmp_path) is None


def test_the_chart_has_a_rung_for_every_row_and_the_goal() -> None:
    rows = [LadderRow("1", "first", 70, 69, 71), LadderRow("2", "second", 80, 79, 81, "+10.00, p 0.012")]
    svg = ladder_chart(rows, unit="right (%)", goal=95)
    for text in ("first", "second", "70.00", "80.00", "+10.00, p 0.012", "goal 95", "right (%)"):
        assert svg.count(f">{text}</text>") == 2  # for a desktop and for a phone
    assert "goal" not in ladder_chart(rows, unit="right (%)")
    with pytest.raises(ValueError, match="at least one"):
        ladder_chart([], unit="")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs cifar10"),
        (("--data", "digits"), "needs cifar10"),
        (("--data", "cifar10:nowhere", "--budget", "small"), "give smoke or full"),
        (("--data", "cifar10:nowhere", "--seeds", "3"), "leave --seeds out"),
        (("--data", "cifar10:nowhere", "-m", "resnet18"), "leave -m out"),
    ],
)
def test_what_the_ladder_cannot_use_is_refused_in_a_line(words: tuple[str, ...], message: str) -> None:
    result = residua("reproduce", "project/ladder", *words)
    assert result.returncode == 2
    assert message in result.stderr


@pytest.mark.battery
def test_the_whole_ladder_is_climbed_and_not_climbed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Extent(1, 1, (4, 8, 8), 16, (300, 60))
    monkeypatch.setattr(ladder, "EXTENTS", {"smoke": tiny})
    for module in (ladder_runs, ladder_steps):
        monkeypatch.setattr(module, "EXTENTS", {"smoke": tiny})
    write_cifar(tmp_path / "cifar", images(320), images(80, "test"))
    source = f"cifar10:{tmp_path / 'cifar'}"
    seen: set[str] = set()
    climb = reproduce_ladder(data=source, out=tmp_path, processes=1, listen=lambda name, _: seen.add(name))
    assert seen == set(RUNS)
    assert climb.report.is_file()
    assert climb.cleaning
    assert climb.cleaning.images == 150
    assert {file.name for file in climb.report.with_suffix("").iterdir()} >= {"figure-1.svg", "table-1.tex"}
    seen.clear()
    again = reproduce_ladder(data=source, out=tmp_path, processes=1, listen=lambda name, _: seen.add(name))
    assert not seen
    assert again.cleaning == climb.cleaning
    assert [one.accuracy for one in again.steps] == [one.accuracy for one in climb.steps]
    assert climb.data.startswith("300 ")
