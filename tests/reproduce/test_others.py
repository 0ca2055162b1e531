"""Items from networks that others trained: which files count, what is measured, what is said of it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eyes import Eyes
from residua.errors import ConfigError
from residua.files import file_sha256
from residua.nn.network import build
from residua.reproduce import others
from residua.reproduce.items import find_item
from residua.reproduce.others_page import (
    HEAD,
    OthersReproduction,
    checked_claims,
    curve_panels,
    figures,
    missing_note,
    page,
    table_rows,
)
from residua.reproduce.reproduction import reproduce_from_weights
from residua.reproduce.reproductions_md import measured_reproduction
from residua.spec.named_network import arch_of
from residua.weights import catalogue, save_as
from residua.weights.catalogue import ReleasedWeights

MEASURED = Path(__file__).parents[2] / "docs/results/reproduce"
"""What was measured of the real networks, committed without their weights."""
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
WRONG = {
    "cifar_resnet20.akamaster": 827,
    "cifar_resnet32.akamaster": 737,
    "cifar_resnet56.akamaster": 661,
    "cifar_plain20.a-martyn": 969,
    "cifar_plain56.a-martyn": 1307,
    "cifar_resnet20.a-martyn": 804,
    "cifar_resnet56.a-martyn": 746,
}
"""Name in the catalogue -> wrong answers of 10,000; tests/weights/test_real_networks.py counts them again."""


def committed(name: str) -> OthersReproduction:
    reproduction = measured_reproduction(find_item(name), MEASURED)
    assert reproduction is not None
    return reproduction


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with random weights of two networks under names of the catalogue, which has their digests."""
    entries = []
    for name in ("cifar_plain20.a-martyn", "cifar_resnet20.a-martyn"):
        entry = catalogue.find(name)
        torch.manual_seed(0)
        file = tmp_path / "pretrained" / entry.urls[0].rpartition("/")[2]
        file.parent.mkdir(exist_ok=True)
        torch.save(save_as(build(arch_of(f"{entry.model}")), entry.dialect), file)
        entries.append(replace(entry, sha256=file_sha256(file)))

    def among(pattern: str = "*") -> list[ReleasedWeights]:
        return [entry for entry in entries if entry.name.startswith(pattern.removesuffix("*"))]

    monkeypatch.setattr(catalogue, "entries", among)
    monkeypatch.setattr(catalogue, "find", lambda name: among(name)[0])
    return tmp_path


@pytest.fixture
def cifar(tmp_path: Path) -> str:
    """A tiny CIFAR-10 of random pixels."""
    folder = tmp_path / "cifar" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = random.integers(0, 256, (20, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(20) % 10
    for part in (
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ):
        (folder / f"{part}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n")
    return f"cifar10:{tmp_path / 'cifar'}"


def test_only_networks_of_the_paper_count() -> None:
    for name in others.STUDIES:
        for row, entry in others.entries_of(find_item(name)):
            assert entry.network == row.network.name
            assert entry.training_data == "CIFAR-10"
            assert "chenyaofo" not in entry.name  # projections in place of option A
    names = {entry.name for _, entry in others.entries_of(find_item("he2015/fig6"))}
    assert {*WRONG} <= names


def test_an_item_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="he2015/fig1"):
        others.entries_of(find_item("he2016/table1"))


def test_a_folder_without_weights_says_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weights get cifar_plain20") as caught:
        others.find_files(find_item("he2015/fig1"), str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        others.find_files(find_item("he2015/fig1"), str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="akamaster"):
        others.find_files(find_item("he2015/fig1"), "akamaster")  # who has no plain networks


def test_a_file_with_the_name_but_other_bytes_is_not_taken(files: Path) -> None:
    item = find_item("he2015/fig1")
    found, missing = others.find_files(item, str(files))
    assert [*found] == ["cifar_plain20.a-martyn"]
    assert missing == []
    file = found["cifar_plain20.a-martyn"]
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(ConfigError, match="no weights"):
        others.find_files(item, str(files))


def test_networks_are_measured_once_and_shown(files: Path, cifar: str, look: Eyes, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    first = reproduce_from_weights("he2015/fig7", where=str(files), data=cifar, out=out, listen=said.append)
    assert [row.label for row, _ in first.rows] == ["plain-20", "ResNet-20"]
    for _, network in first.rows:
        assert network.images == 20
        assert 0 <= network.wrong <= 20
        assert network.studies is not None
        assert len(network.studies["responses"]["deviations"]) == 19
    assert first.report.read_text().startswith("<!")
    assert others.LABEL.partition(" ")[2] in first.report.read_text()  # its apostrophe is escaped there
    file = out / "weights/cifar_plain20.a-martyn.json"
    written = os.stat(file).st_mtime_ns
    again = reproduce_from_weights("he2015/fig7", where=str(files), data="cifar10:nowhere", out=out)
    assert os.stat(file).st_mtime_ns == written
    assert again.plain()["rows"] == json.loads(json.dumps(first.plain()["rows"]))
    look(first.report)


def test_some_images_first_and_all_when_asked(
    files: Path, cifar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "TEST_IMAGES", 8)
    request = {"where": str(files), "data": cifar, "out": tmp_path / "out"}
    some = reproduce_from_weights("he2015/fig7", **request)
    assert [network.images for _, network in some.rows] == [8, 8]
    whole = reproduce_from_weights("he2015/fig7", **request, all_images=True)
    assert [network.images for _, network in whole.rows] == [20, 20]
    assert [network.studies for _, network in whole.rows] == [network.studies for _, network in some.rows]
    again = reproduce_from_weights("he2015/fig7", **request)
    assert [network.images for _, network in again.rows] == [20, 20]  # more are known already


def test_images_of_another_dataset_are_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cifar10"):
        reproduce_from_weights("he2015/fig7", where=str(files), data="digits", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="--data cifar10"):
        reproduce_from_weights("he2015/fig7", where=str(files), out=tmp_path / "out")


@pytest.mark.parametrize(
    ("folder", "errors", "count"),
    [
        ("here", (12.0, 12.0), 2),
        ("results", (12.0, 12.0), 2),
        ("here", (11.0, 14.0), 2),
        ("here", (13.0, 13.0), 0),
        ("here", (9.0, 11.0), 0),
    ],
)
def test_a_curve_counts_where_it_ends_at_the_measured_error(
    folder: str, errors: tuple[float, float], count: int, tmp_path: Path
) -> None:
    weights = tmp_path / "pretrained/net.pt"
    table = (weights.parent if folder == "here" else tmp_path / folder) / "net.csv"
    for place in (weights.parent, table.parent):
        place.mkdir(exist_ok=True)
    table.write_text("epoch,train_loss,train_err,test_err\n0,1.5,0.6,0.5\n1,1.0,0.04,0.12\n")
    curve = others.recorded_curve(weights, errors)
    assert len(curve) == count
    if count:
        assert curve[-1] == (2.0, 4.0, 12.0)


def test_the_committed_measurements_are_those_of_the_real_networks() -> None:
    networks = [others.read_measured(file) for file in sorted((MEASURED / "weights").glob("*.json"))]
    assert {network.name: network.wrong for network in networks if network} == WRONG
    for network in filter(None, networks):
        assert network.images == 10_000
        assert network.sha256 == catalogue.find(network.name).sha256
        assert bool(network.curve) == (network.owner == "a-martyn")
        assert len(network.curve) in (0, 164)
        assert catalogue.find(network.name).top1 == pytest.approx(100 - network.error, abs=0.006)


def test_the_claims_of_the_paper_hold_for_the_real_networks() -> None:
    results = checked_claims(committed("he2015/fig6"))
    outcomes = [(result.outcome, len(result.comparisons)) for result in results]
    # with depth plain nets get worse (a-martyn), shortcuts help (a-martyn), residual nets get better (both)
    assert outcomes == [("seen", 1), ("seen", 2), ("cannot tell", 1), ("seen", 3)]
    assert results[0].comparisons[0].worse.values == pytest.approx((3.33,), abs=0.005)


def test_a_claim_that_does_not_hold_is_said_so() -> None:
    reproduction = committed("he2015/table6")
    swapped = [(row, replace(network, wrong=10_000 - network.wrong)) for row, network in reproduction.rows]
    outcomes = [result.outcome for result in checked_claims(replace(reproduction, rows=tuple(swapped)))]
    assert outcomes == ["not seen", "cannot tell"]


def test_residual_networks_lose_less_by_a_lesion_than_plain_ones() -> None:
    networks = {
        row.label: network for row, network in committed("he2015/fig6").rows if network.owner == "a-martyn"
    }
    median = {}
    for label in others.PAIR:
        lesion = (networks[label].studies or {})["lesion"]
        without = sorted(error for error in lesion["removed"] if error is not None)
        median[label] = without[len(without) // 2] - lesion["whole"]
    assert median["ResNet-56"] < 5 < 30 < median["plain-56"]


@pytest.mark.parametrize("name", others.STUDIES)
def test_every_figure_is_drawn_from_the_committed_measurements(name: str) -> None:
    reproduction = committed(name)
    for for_docs in (False, True):
        drawn = figures(reproduction, for_docs=for_docs)
        assert drawn
        assert all(figure.svg.startswith("<svg") and figure.caption for figure in drawn)
        assert all(("#ffffff" in figure.svg) or not for_docs for figure in drawn)
    assert all(len(row) == len(HEAD) for row in table_rows(reproduction))
    assert page(reproduction).sections


def test_curves_stand_in_the_panels_of_the_paper() -> None:
    panels = curve_panels(committed("he2015/fig6"))
    assert [panel.title for panel in panels] == ["Plain networks", "Residual networks"]
    assert [[curve.name for curve in panel.curves] for panel in panels] == [
        ["plain-20", "plain-56"],
        ["ResNet-20", "ResNet-56"],
    ]


def test_what_is_missing_is_one_line() -> None:
    note = missing_note(replace(committed("he2015/fig6"), missing=("cifar_plain32.a-martyn",)))
    assert "weights get cifar_plain32.a-martyn" in note
    assert "\n" not in note
    assert missing_note(committed("he2015/fig6")) == ""
