"""The light parts stay light; that imports run one way, import-linter checks in `make check`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "matplotlib", "timm", "numpy", "PIL", "sklearn", "scipy", "jinja2"}


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after `code`."""
    words = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import residua",
        "import residua.cli.app",
        "import residua.spec.zoo, residua.spec.recipe, residua.spec.describe, residua.spec.change",
    ],
)
def test_what_is_light_loads_nothing_heavy(code: str) -> None:
    loaded = loaded_by(code)
    assert "residua" in loaded
    assert not loaded & HEAVY


def test_a_run_is_read_without_training() -> None:
    code = (
        "from pathlib import Path\n"
        "from residua.runs import Run\n"
        "from residua.runs import checkpoint\n"
        f"runs = [Run(p.parent) for p in Path({str(ROOT / 'docs/results')!r}).rglob('recipe.json')]\n"
        "assert any(run.metrics for run in runs)\n"
        "for run in runs:\n"
        "    run.recipe, run.job_id, checkpoint.list_checkpoints(run.checkpoints)\n"
        "    assert all('lr' in row and 'rate' not in row for row in run.metrics)"
    )
    assert not {name for name in loaded_by(code) if name.startswith("residua.training")}


def test_every_room_does_without_matplotlib_timm_and_torchvisions_models() -> None:
    rooms = (path.stem for path in (ROOT / "src/residua/jobs").glob("*.py") if path.stem != "__init__")
    code = ";".join(f"import residua.jobs.{room}" for room in rooms)
    loaded = loaded_by(code)
    assert "residua.jobs.train" in loaded
    assert not loaded & {"torchvision.models", "timm", "matplotlib"}
