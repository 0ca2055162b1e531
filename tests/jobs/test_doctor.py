"""What `doctor` measures, and for how long."""

import re
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from residua.jobs import doctor
from residua.measure.timing import Timing

Way = tuple[str, str]


@pytest.mark.parametrize("emulates", [True, False])
def test_the_doctor_times_bfloat16_where_the_processor_has_units(
    emulates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def measure(
        _: object, *, batch: int, ways: tuple[Way, ...], limit: Callable[[float], float]
    ) -> Timing[Way]:
        limits.append(limit(0.1))
        return Timing(dict.fromkeys(ways, batch / 200))

    monkeypatch.setattr(doctor, "measure", measure)
    monkeypatch.setattr(doctor, "emulates_bfloat16", lambda: emulates)
    monkeypatch.setattr(doctor, "_rate", lambda _: 100.0)
    checks = {check.name: check.value for check in doctor.check_machine()}
    assert ("bfloat16 channels_last 200/s" in checks["training"]) is not emulates
    assert "float32 contiguous 200/s" in checks["training"]
    assert ("emulated" in checks["bfloat16"]) is emulates
    assert checks["processor"]
    assert limits == [doctor.TRAINING_SECONDS]


TOOLS = {"atheris", "moto", "flask", "flask-cors", "residua", "pytest", "pytest-timeout", "pytest-xdist"}
TOOLS |= {"hypothesis", "mypy", "ruff", "import-linter", "playwright", "axe-playwright-python"}
TOOLS |= {"schemathesis", "tritonclient", "httpx", "sphinx", "myst-parser", "furo"}
"""Packages of the extras that develop or test us and do nothing for a user."""


def test_the_doctor_knows_every_optional_package_of_pyproject() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {
        extra: {re.split(r"[\[><=~]", text)[0] for text in texts}
        for extra, texts in project["optional-dependencies"].items()
    }
    assert set(doctor.EXTRAS) == set().union(*extras.values()) - TOOLS
    assert [name for name, extra in doctor.EXTRAS.items() if name not in extras[extra]] == []


def test_the_doctor_tells_what_is_installed_and_what_installs_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"numpy": "one", "no-such-package": "other"})
    installed, missing = doctor._extras()
    assert installed.value == f"numpy {metadata.version('numpy')}"
    assert missing.value == "no-such-package [other]"
