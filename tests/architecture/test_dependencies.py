"""What we depend on: every range has a lowest version, and the locks fit the ranges on every Python."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCKS = {"run.txt": PROJECT["dependencies"], "test.txt": [*PROJECT["dependencies"], "residua[test]"]}
SYSTEMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
PYTHONS = ["3.11", "3.12", "3.13"]


def flat(words: list[str]) -> Iterator[Requirement]:
    """Requirements with the extras of residua that they name."""
    for requirement in map(Requirement, words):
        if requirement.name != "residua":
            yield requirement
        for extra in sorted(requirement.extras) if requirement.name == "residua" else ():
            yield from flat(EXTRAS[extra])


EVERYTHING = list(flat([*PROJECT["dependencies"], *(word for words in EXTRAS.values() for word in words)]))


def entries(name: str) -> list[str]:
    """Every pinned package of a lock with its hashes, as one line each."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def pinned(name: str, python: str, system: str, machine: str) -> dict[str, str]:
    """Versions that a lock installs on one kind of machine."""
    machine_words = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": system,
        "platform_system": system.capitalize(),
        "platform_machine": machine,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    versions: dict[str, str] = {}
    for entry in entries(name):
        requirement = Requirement(entry.split("--hash")[0].strip())
        if requirement.marker is None or Marker(str(requirement.marker)).evaluate(machine_words):
            (pin,) = requirement.specifier
            assert canonicalize_name(requirement.name) not in versions, f"{requirement.name} twice"
            versions[canonicalize_name(requirement.name)] = pin.version
    return versions


def test_every_dependency_has_a_lowest_version() -> None:
    for requirement in EVERYTHING:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators & {">=", "=="}, requirement


def test_a_package_has_one_lowest_version() -> None:
    ranges: dict[str, set[str]] = {}
    for requirement in EVERYTHING:
        ranges.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    assert {name: words for name, words in ranges.items() if len(words) > 1} == {}


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_fits_the_ranges(name: str, python: str) -> None:
    for system, machine in SYSTEMS:
        versions = pinned(name, python, system, machine)
        for requirement in flat(LOCKS[name]):
            version = versions.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not locked: make lock"
            assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: make lock"


def test_both_locks_name_the_same_versions() -> None:
    for python in PYTHONS:
        run, test = (pinned(name, python, *SYSTEMS[0]) for name in LOCKS)
        assert run.items() <= test.items()


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_hashed_and_names_no_place(name: str) -> None:
    line = re.compile(r"[\w.-]+==[^\s;]+( ; [^\\]*?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [entry[:60] for entry in entries(name) if not line.fullmatch(entry.strip())] == []
    assert "://" not in (ROOT / "requirements" / name).read_text()
