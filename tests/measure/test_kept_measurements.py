"""What a machine measured once is found again, and nothing that looks like it is believed."""

import json
from pathlib import Path

import pytest
import torch

from residua.errors import ConfigError
from residua.files import cache_folder
from residua.measure.measurements import (
    FOLDER,
    Measurement,
    describe_subject,
    load_measurement,
    save_measurement,
)
from small import arch

SUBJECT = describe_subject("arithmetic", arch(), torch.device("cpu"), batch=8)
MEASURED = Measurement(SUBJECT, "fast", {"slow": 10.0, "fast": 20.5}, {"fast": 3.0})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder() / FOLDER


def is_unknown(subject: str) -> bool:
    return load_measurement(Measurement, subject) is None


def test_a_measurement_is_found_again() -> None:
    assert load_measurement(Measurement, SUBJECT) is None
    save_measurement(MEASURED)
    assert load_measurement(Measurement, SUBJECT) == MEASURED


def test_another_network_batch_or_processor_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    save_measurement(MEASURED)
    for other in (arch(4), arch(drop=True)):
        assert is_unknown(describe_subject("arithmetic", other, torch.device("cpu"), batch=8))
    assert is_unknown(describe_subject("arithmetic", arch(), torch.device("cpu"), batch=9))
    monkeypatch.setattr("residua.measure.measurements.processor_name", lambda: "another")
    assert is_unknown(describe_subject("arithmetic", arch(), torch.device("cpu"), batch=8))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        '{"subject": 3}',
        json.dumps({"subject": SUBJECT, "fastest": "none", "rates": {"fast": 1.0}}),
        json.dumps({"subject": SUBJECT, "fastest": "fast", "rates": {"fast": -1.0}}),
        json.dumps({"subject": SUBJECT, "fastest": "fast", "rates": {"fast": "quick"}}),
        json.dumps({"subject": "another", "fastest": "fast", "rates": {"fast": 1.0}}),
        '{"subject": "' + "x" * 100_000 + '"}',
        "[" * 5000,
    ],
)
def test_a_damaged_file_counts_as_missing(text: str, folder: Path) -> None:
    save_measurement(MEASURED)
    (file,) = folder.iterdir()
    file.write_text(text)
    assert load_measurement(Measurement, SUBJECT) is None
    save_measurement(MEASURED)
    assert load_measurement(Measurement, SUBJECT) == MEASURED


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    save_measurement(MEASURED)
    (file,) = folder.iterdir()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert load_measurement(Measurement, SUBJECT) is None


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    save_measurement(MEASURED)
    assert load_measurement(Measurement, SUBJECT) is None


def test_speeds_are_numbers_above_0() -> None:
    with pytest.raises(ConfigError, match="rates"):
        Measurement(SUBJECT, "fast", {"fast": 0.0})
