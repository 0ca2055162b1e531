"""The gradient highway: norms after every epoch, one chart a network, equal axes."""

import re
from pathlib import Path

from command import residua
from residua.reproduce.figures import figure
from residua.reproduce.grid import GridSetting
from residua.reproduce.highway import NETWORKS, finished_highway, highway_figures, result_sentences
from residua.reproduce.items import ITEMS
from residua.reproduce.measured import Reproduction, count_row
from residua.reproduce.page import page
from residua.reproduce.rows_history import ENTRIES
from residua.spec import zoo

COMMITTED = Path(__file__).parents[2] / "docs/results/reproduce"


def test_committed_norms_are_of_every_epoch_and_block() -> None:
    highway = finished_highway("smoke", COMMITTED)
    assert highway
    assert list(highway.norms) == list(NETWORKS)
    for label, rows in highway.norms.items():
        epochs = len(highway.runs[label].epochs("train_error"))
        assert list(rows) == list(range(epochs + 1))
        assert {len(norms) for norms in rows.values()} == {27}  # (56 - 2) / 2 blocks
        assert all(norm > 0 for norms in rows.values() for norm in norms)
    plain, residual = highway_figures(highway)
    ticks = [re.findall(r'text-anchor="end"[^>]*>([^<]+)<', one.svg) for one in (plain, residual)]
    assert ticks[0] == ticks[1]
    for (label, rows), text in zip(highway.norms.items(), result_sentences(highway), strict=True):
        assert text.startswith(label)
        assert f" {rows[0][0] / rows[0][-1]:.2g} before training" in text


def test_a_folder_without_runs_has_no_highway(tmp_path: Path) -> None:
    assert finished_highway("small", tmp_path) is None


def test_the_history_counts_networks_and_quotes_errors_of_entries() -> None:
    item = ITEMS["project/history"]
    rows = tuple(count_row(row) for row in item.rows)
    reproduction = Reproduction(item, GridSetting("digits", True, "smoke"), rows, "", Path(), 0.0)
    layers, params, macs, errors = figure(reproduction).items
    for entry in ENTRIES:
        arch = zoo.arch(entry.network)
        assert str(arch.depth()) == entry.paper[2]
        assert f"{entry.label}, {entry.paper[0]}: {arch.depth()}" in layers.alternative
    assert "no source reached" in errors.svg  # AlexNet's
    assert "no source reached" not in macs.svg + params.svg
    assert page(reproduction).sections


def test_what_the_highway_cannot_use_is_refused_in_a_line() -> None:
    for words, message in (
        ((), "needs cifar10"),
        (("--data", "cifar10:nowhere", "--budget", "full"), "give smoke or small"),
        (("--data", "cifar10:nowhere", "--processes", "2"), "leave --processes out"),
    ):
        result = residua("reproduce", "project/highway", *words)
        assert result.returncode == 2
        assert message in result.stderr
