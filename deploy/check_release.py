"""Check what a release is made of: python deploy/check_release.py DIST UV [EXTRA...]

`DIST` holds one sdist and one wheel, as `uv build` makes them; `UV` is the program uv. The sdist must hold
every file of the repository: `make demo` and `make test` work from it. Then the sdist alone, and the wheel
with each extra, are installed into fresh environments. There a network is described, a batch is computed, and
what the extra installed is imported; the sdist runs the demo.
"""

import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOR_DEVELOPERS = {"test", "s3test", "fuzz", "docs"}
"""Extras that are installed from the repository, not from a release."""
SMOKE = """
import residua, torch
model = residua.create_model("cifar_resnet20", num_classes=3).eval()
assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
"""

IMPORTS = """
import importlib, re, sys
from importlib import metadata
def plain(name): return re.sub("[-_.]+", "-", name).lower()
rows = [row for row in metadata.requires("residua") if re.search(f"extra == .{sys.argv[1]}.$", row)]
wanted = {plain(re.match("[\\w.-]+", row)[0]) for row in rows}
for module, packages in metadata.packages_distributions().items():
    if module.isidentifier() and wanted & {plain(name) for name in packages}:
        importlib.import_module(module)
        wanted -= {plain(name) for name in packages}
assert rows and not wanted, f"nothing to import of {wanted}"
"""


def missing_files(sdist: Path) -> list[str]:
    """Files of the repository that the sdist does not hold."""
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({*done.stdout.splitlines()} - held)


def try_installed(uv: str, package: str, extra: str = "") -> None:
    """Install `package[extra]` into a fresh environment and use it; CalledProcessError where this fails."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder, "env/bin/python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
        name = f"{package}[{extra}]" if extra else package
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, name], check=True)
        for words in (
            ["-m", "residua", "--version"],
            ["-m", "residua", "explain", "resnet50"],
            ["-c", SMOKE],
            *([["-c", IMPORTS, extra]] if extra else [["-m", "residua", "demo", "-o", "demo"]]),
        ):
            subprocess.run([python, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main(dist: str, uv: str, *chosen: str) -> int:
    """Check the release in `dist`; 1 where something is missing."""
    (sdist,), (wheel,) = Path(dist).glob("*.tar.gz"), Path(dist).glob("*.whl")
    if missing := missing_files(sdist):
        print(f"{sdist.name} lacks {', '.join(missing)}")
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras: Sequence[str] = chosen or sorted({*project["optional-dependencies"]} - FOR_DEVELOPERS)
    for package, extra in ((sdist, ""), *((wheel, extra) for extra in extras)):
        print(f"{package.name}{f'[{extra}]' if extra else ''}: ", end="", flush=True)
        try_installed(uv, str(package), extra)
        print("installed and used")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
