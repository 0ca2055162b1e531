"""The page on other tools: its Python blocks run in order, beside the folder that they read."""

import re
from pathlib import Path

import pytest

import residua

PAGE = Path(__file__).parents[2] / "docs/how-to/interoperability.md"


def test_the_page_on_other_tools_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("captum")
    monkeypatch.chdir(tmp_path)
    residua.save(residua.create_model("cifar_resnet20"), "pets")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, names)
    assert {"model", "network", "pyramid"} <= names.keys()
