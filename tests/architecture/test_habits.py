"""The habits of docs and conventions that a tool can check."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import residua

SOURCE = Path(residua.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 450
MAX_FUNCTION_LINES = 60
NO_HOME = {"utils", "util", "common", "core", "helpers", "helper", "misc", "base"}


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def lines_of(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring, which may list many arguments."""
    first = function.body[0]
    is_documented = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_documented else 0
    return (function.end_lineno or 0) - function.lineno - docstring


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call with what is called, spelled out: `torch.load`."""
    nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in nodes]


@cache
def names_used(path: Path) -> set[str]:
    """Every dotted name that is read or imported."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def users_of(*words: str) -> set[str]:
    """Files that name one of the dotted `words`, or anything inside it."""
    pattern = re.compile("|".join(rf"{re.escape(word)}(\.|$)" for word in words))
    return {name(path) for path in FILES if any(map(pattern.match, names_used(path)))}


def callers_of(*words: str) -> set[str]:
    return {name(path) for path in FILES for called, _ in calls(path) if called in words}


def test_the_source_is_found() -> None:
    assert {"nn/network.py", "weights/store.py", "cli/app.py"} <= {name(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            assert lines_of(node) < MAX_FUNCTION_LINES, node.name


def test_every_module_opens_with_a_sentence() -> None:
    assert [name(path) for path in FILES if not ast.get_docstring(parsed(path))] == []


def test_every_module_has_a_home() -> None:
    assert [name(path) for path in FILES if {*path.relative_to(SOURCE).with_suffix("").parts} & NO_HOME] == []


def test_every_public_name_resolves() -> None:
    for public in residua.__all__:
        assert getattr(residua, public) is not None
    assert set(residua._ROOMS) | {"__version__"} == set(residua.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        residua.trian  # noqa: B018 (asking is the test)


def test_torch_loads_nothing() -> None:
    assert callers_of("torch.load", "torch.jit.load", "load_state_dict_from_url") == set()


def test_images_are_opened_in_one_place_with_a_list_of_formats() -> None:
    assert callers_of("Image.open", "PIL.Image.open") == {"data/decode.py"}
    for called, node in calls(SOURCE / "data/decode.py"):
        if called == "Image.open":
            assert "formats" in {word.arg for word in node.keywords}


def test_nothing_reads_images_with_torchvision_nor_unpickles_nor_unpacks_archives() -> None:
    assert users_of("torchvision.io", "LOAD_TRUNCATED_IMAGES") == set()
    assert users_of("torchvision.models") == {"jobs/convert.py", "tasks/detect/network.py"}, (
        "a peer to compare with, and the parts of detectors; else nothing to build on"
    )
    assert callers_of("pickle.load", "pickle.loads", "eval", "exec", "yaml.load", "os.system") == set()
    assert [name(path) for path in FILES if "extractall" in path.read_text()] == []


def test_only_rows_overwrite_and_know_whose_memory_it_is() -> None:
    for path in FILES:
        if name(path) == "nn/sequence.py":
            continue
        for called, node in calls(path):
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert words.get("inplace", "False") == "False", f"{name(path)}: {called}"


def test_only_the_command_line_and_progress_print() -> None:
    printers = {
        name(path)
        for path in FILES
        for called, _ in calls(path)
        if called == "print" or called.endswith((".print", "sys.stdout.write", "sys.stderr.write"))
    }
    assert {file for file in printers if not file.startswith("cli/")} == {"__main__.py", "progress.py"}


def test_the_environment_is_used_in_four_places() -> None:
    readers = users_of("os.environ", "os.getenv", "os.putenv")
    assert {file for file in readers if not file.startswith("cli/")} == {
        "training/processes/world.py",
        "data/download_settings.py",
        "jobs/ray_cluster.py",  # it only switches off Ray's reports of usage
    }


def test_processes_are_joined_in_one_place_and_launched_in_another() -> None:
    assert users_of("torch.distributed") == {"training/processes/world.py", "training/processes/launch.py"}


def test_no_module_asks_what_an_object_happens_to_have() -> None:
    assert callers_of("hasattr") <= {
        "nn/processor.py",
        "training/processes/launch.py",
        "cli/failures.py",
    }
