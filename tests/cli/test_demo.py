"""The demo: as users run it, and once shorter."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from command import residua, succeeded
from eyes import Eyes
from residua.jobs import demo
from residua.recipes.quick import digits
from residua.spec.arch import Arch
from residua.spec.recipe import Budget, Recipe

NETWORKS = ["cifar_plain20", "cifar_resnet20", "cifar_plain56", "cifar_resnet56"]


def check_report(report: Path) -> None:
    """The page names its networks, and refers to nothing outside."""
    page = report.read_text()
    assert "cifar_resnet56" in page
    assert re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[^"'\s>]+""", page) == []
    assert re.findall(r"@import|url\((?!['\"]?data:)", page) == []


def test_a_demo_of_one_epoch_has_the_numbers_and_the_page_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, look: Eyes, tmp_path: Path
) -> None:
    def short(arch: Arch, source: str) -> Recipe:
        return replace(digits(arch, source), budget=Budget(epochs=1, batch_size=64))

    monkeypatch.setattr(demo, "digits", short)
    monkeypatch.setattr(demo, "DEPTHS", (20, 56))
    monkeypatch.setattr(demo, "TRAINING_SECONDS", 0.0)
    result = demo.demo(tmp_path / "demo")
    assert [row["model"] for row in result.errors()] == NETWORKS
    assert all(set(row) == {"model", "train_error", "test_error"} for row in result.errors())
    check_report(result.report)
    look(result.report)


@pytest.mark.battery
@pytest.mark.timeout(420)  # it trains for 35 s on two idle cores, and here shares them with other tests
def test_the_demo_shows_degradation_and_its_cure_offline(tmp_path: Path) -> None:
    result = json.loads(succeeded(residua("demo", "--json", "-o", tmp_path / "demo", timeout=400)))
    assert result["seconds"] > 0
    errors = {run["model"]: run["train_error"] for run in result["runs"]}
    assert set(NETWORKS) <= set(errors)
    assert all(set(run) == {"model", "train_error", "test_error"} for run in result["runs"])
    assert errors["cifar_plain56"] > errors["cifar_resnet56"]
    assert errors["cifar_plain56"] > errors["cifar_plain20"]
    report = Path(result["report"])
    assert report == tmp_path / "demo" / "report.html"
    check_report(report)
