"""A package that is not installed: one line with the command that installs it, and exit code 2."""

import pytest

from command import complaint, python, succeeded
from residua.errors import missing_package

WITHOUT = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] in ("residua", {name!r})]:
    del sys.modules[name]
sys.modules[{name!r}] = None
sys.argv = ["residua", *{words!r}]
from residua.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("name", "package", "words"),
    [
        ("torch", "torch", ["train", "digits", "-o", "run"]),
        ("torch", "torch", ["evaluate", "run"]),
        ("numpy", "numpy", ["predict", "run", "image.png"]),
        ("PIL", "pillow", ["doctor"]),
        ("safetensors", "safetensors", ["compare", "run", "run"]),
        ("rich", "rich", ["models"]),
        ("typer", "typer", ["--help"]),
    ],
)
def test_a_command_says_what_to_install(name: str, package: str, words: list[str]) -> None:
    line = complaint(python("-c", WITHOUT.format(name=name, words=words)), 2)
    assert line.endswith(f"pip install {package}")


def test_help_needs_no_torch() -> None:
    assert "train" in succeeded(python("-c", WITHOUT.format(name="torch", words=["--help"])))


@pytest.mark.parametrize("words", ["residua.Classifier", "residua.load('tests/small.py')"])
def test_python_callers_get_the_same_line_as_an_import_error(words: str) -> None:
    text = f"""
import sys
for name in [name for name in sys.modules if name.partition(".")[0] in ("residua", "torch")]:
    del sys.modules[name]
sys.modules["torch"] = None
import residua
try:
    {words}
except ImportError as error:
    assert "pip install torch" in str(error) and error.exit_code == 2, error
else:
    raise AssertionError
"""
    succeeded(python("-c", text))


def test_a_missing_module_of_residua_is_no_missing_package() -> None:
    assert missing_package(ModuleNotFoundError("No module named 'residua.x'", name="residua.x")) is None
    assert missing_package(ImportError("cannot import name")) is None
    broken = missing_package(ImportError("libx.so: cannot open\nshared object", name="torch"))
    assert broken is not None
    assert "force-reinstall torch" in str(broken)
