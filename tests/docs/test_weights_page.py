"""What the page about weights shows is run, in order, as a newcomer would."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

from test_documents import BLOCK, ROOT, typed

import residua
from command import python, succeeded
from residua.weights.tables import DIALECTS

PAGE = (ROOT / "docs/how-to/weights.md").read_text()


def test_every_block_runs_in_order(tmp_path: Path) -> None:
    by_name, *blocks = BLOCK.findall(PAGE)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python", "python"]
    calls = {name: create_autospec(getattr(residua, name)) for name in ("create_model", "load")}
    # These lines download: what is tested is that the functions take their words.
    exec(by_name[1], {"residua": SimpleNamespace(**calls)})
    assert calls["create_model"].call_count == 3
    assert "122 tensors from torchvision" in succeeded(python("-c", blocks[0][1], cwd=tmp_path))
    output = typed(tmp_path, blocks[1][1])
    assert "logit 0 on" in output
    assert (tmp_path / "theirs.safetensors").exists()
    rest = "import residua\n" + "\n".join(text for _, text in blocks[2:])
    rest += "\nassert classify.classes == ('cat', 'dog')\n"
    succeeded(python("-c", rest, cwd=tmp_path))


def test_every_source_is_listed() -> None:
    assert [source for source in DIALECTS if f"| `{source}` |" not in PAGE] == []
