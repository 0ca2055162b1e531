"""The demo, run once as users run it."""

import json
import re
from pathlib import Path

import pytest

from command import residua, succeeded
from eyes import Eyes


@pytest.mark.timeout(420)  # it trains for 35 s on two idle cores, and here shares them with other tests
def test_the_demo_shows_degradation_and_its_cure_offline(look: Eyes, tmp_path: Path) -> None:
    result = json.loads(succeeded(residua("demo", "--json", "-o", tmp_path / "demo", timeout=400)))
    assert result["seconds"] > 0
    errors = {run["model"]: run["train_error"] for run in result["runs"]}
    assert {"cifar_plain20", "cifar_resnet20", "cifar_plain56", "cifar_resnet56"} <= set(errors)
    assert all(set(run) == {"model", "train_error", "test_error"} for run in result["runs"])
    assert errors["cifar_plain56"] > errors["cifar_resnet56"]
    assert errors["cifar_plain56"] > errors["cifar_plain20"]
    report = Path(result["report"])
    assert report == tmp_path / "demo" / "report.html"
    page = report.read_text()
    assert "cifar_resnet56" in page
    assert re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[^"'\s>]+""", page) == []
    assert re.findall(r"@import|url\((?!['\"]?data:)", page) == []
    look(report)
