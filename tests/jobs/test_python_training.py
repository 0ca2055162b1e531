"""What training from Python shows, reports and returns; the trackers of a how-to page too."""

import io
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import residua
from residua import progress
from residua.errors import CheckpointError, ConfigError, MissingPackageError
from residua.events import EpochRow, Event, Note, PlanLine, StepProgress, Stopped
from residua.jobs import python_training
from residua.runs.metric_rows import MetricRows
from residua.runs.run import create
from small import arch, file_of, photo_folder, recipe, weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("data") / "photos")


def small_training(photos: Path, out: Path, **options: Any) -> residua.Run:
    file = file_of(recipe("", arch=arch()), out.parent / f"{out.name}.json")
    return residua.train(photos, recipe=str(file), out=out, **options)


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> residua.Run:
    return small_training(photos, tmp_path_factory.mktemp("runs") / "run", progress=False)


def test_a_script_sees_a_line_for_each_epoch_on_standard_error(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_training(photos, tmp_path / "run")
    out, err = capsys.readouterr()
    assert out == ""
    assert len(re.findall(r"^epoch \d/3  loss", err, re.MULTILINE)) == 3
    assert re.search(r"^model .*tiny", err, re.MULTILINE)
    assert str(tmp_path / "run") in err


def test_nothing_is_printed_without_progress(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = small_training(photos, tmp_path / "run", progress=False)
    residua.resume(run, progress=False)
    assert capfd.readouterr() == ("", "")


def drawn(monkeypatch: pytest.MonkeyPatch, train: Callable[[], object], **options: Any) -> str:
    """What training draws on a console with these options."""
    console = Console(file=io.StringIO(), width=100, soft_wrap=True, **options)
    monkeypatch.setattr(python_training, "python_console", lambda: console)
    train()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_has_a_bar(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, lambda: small_training(photos, tmp_path / "run"), force_terminal=True)
    assert "\u2501" in text  # of the bar
    assert "images/s" in text


def test_a_notebook_without_widgets_has_plain_lines(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells: list[Any] = []
    display = SimpleNamespace(display=lambda *items, **_: cells.extend(items))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(progress, "find_spec", lambda _: None)
    drawn(monkeypatch, lambda: small_training(photos, tmp_path / "run"), force_jupyter=True)
    lines = [line for cell in cells for line in cell.text.splitlines()]
    assert len([line for line in lines if line.startswith("epoch")]) == 3


def test_a_callback_gets_every_event(photos: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run = small_training(photos, tmp_path / "run", progress=False, callback=events.append)
    assert [event.values["epoch"] for event in events if isinstance(event, EpochRow)] == [1, 2, 3]
    assert [event.step for event in events if isinstance(event, StepProgress)] == list(range(1, 10))
    assert any(isinstance(event, PlanLine) and event.text.startswith("model") for event in events)
    resumed: list[Event] = []
    residua.resume(run, progress=False, callback=resumed.append)
    assert [type(event) for event in resumed] == [Note]


def test_what_a_callback_raises_ends_training_and_the_run_resumes(
    photos: Path, run: residua.Run, tmp_path: Path
) -> None:
    def end(event: Event) -> None:
        if isinstance(event, EpochRow) and event.values["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_training(photos, tmp_path / "run", progress=False, callback=end)
    half = residua.Run(tmp_path / "run")
    assert not half.finished
    events: list[Event] = []
    stopped = residua.resume(half.path, progress=False, callback=events.append, stop=lambda: True)
    assert not stopped.finished
    assert isinstance(events[-1], Stopped)
    assert weights(residua.resume(half, progress=False)) == weights(run)


def test_a_program_finds_notes_and_epochs_in_its_log(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="residua"):
        small_training(photos, tmp_path / "run", progress=False)
    assert {record.name for record in caplog.records} == {"residua"}
    assert len([line for line in caplog.messages if line.startswith("epoch")]) == 3
    assert any(line.startswith("data ") for line in caplog.messages)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("residua").handlers)


def test_a_run_is_named_by_text_and_shows_what_it_measured(run: residua.Run, tmp_path: Path) -> None:
    again = residua.Run(str(run.path))
    assert again == run
    error = run.metrics[-1]["test_error"]
    for text in (repr(again), again._repr_html_()):
        for words in ("tiny", "photos", "3 epochs", f"{error:.2f} %", "n = 6"):
            assert words in text
    assert "<svg" in again._repr_html_()
    assert repr(residua.Run(tmp_path)) == f"Run({str(tmp_path)!r})"
    create(tmp_path / "new", recipe(), identity={"classes": [], "train": 0, "test": 0, "digest": ""})
    assert "0 of 3 epochs" in repr(residua.Run(tmp_path / "new"))


def test_metrics_are_rows_and_a_table(run: residua.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run.metrics
    assert isinstance(rows, list)
    assert rows[-1]["epoch"] == 3
    assert rows._repr_html_().count("<tr>") == 4
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="pip install pandas"):
        rows.to_pandas()


def test_pandas_shows_metrics(run: residua.Run) -> None:
    pytest.importorskip("pandas")
    table = MetricRows([*run.metrics, {"epoch": 4, "step": 16}]).to_pandas()
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert table["test_error"].isna().tolist() == [False, False, False, True]


def test_curves_are_shown_and_saved(run: residua.Run, tmp_path: Path) -> None:
    figure = run.plot()
    assert "var(" not in figure.save(tmp_path / "curves.svg").read_text()
    assert figure.svg in figure._repr_html_()
    assert len(repr(figure)) < 100
    with pytest.raises(FileExistsError, match=r"curves\.svg"):
        figure.save(tmp_path / "curves.svg")
    with pytest.raises(ConfigError, match=r"\.gif.*\.svg, \.pdf, \.png"):
        figure.save(tmp_path / "curves.gif")
    assert "train_loss, test_loss" in run.plot("train_loss", "test_loss").svg
    with pytest.raises(ConfigError, match=r"train_los'.*train_loss"):
        run.plot("train_los")
    with pytest.raises(CheckpointError, match="no row"):
        residua.Run(tmp_path).plot()


def test_the_predictor_of_a_run_is_its_network(run: residua.Run, photos: Path) -> None:
    file = photos / "red" / "01.png"
    assert run.predictor(device="cpu")(file) == residua.load(run.path, device="cpu")(file)
    shown = repr(run.predictor(device="cpu"))
    assert "3 classes (blue, green, red)" in shown
    assert "cpu" in shown
    assert "\n" not in shown


def test_reading_a_run_by_its_public_name_imports_nothing_of_training() -> None:
    code = (
        "import sys, residua\n"
        f"run = residua.Run({str(ROOT / 'docs/results/cifar10-resnet20-12-epochs')!r})\n"
        "run.metrics, run.plot(), run._repr_html_()\n"
        "print([name for name in sys.modules if name.startswith('residua.training')])"
    )
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "[]"


class Tracker:
    """A stand-in for wandb and mlflow: the functions that the examples call, with what they received."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, dict[str, float]]] = []
        self.is_closed = False

    def init(self, *, project: str) -> "Tracker":
        assert project
        return self

    def start_run(self) -> "Tracker":
        return self

    def log(self, metrics: dict[str, float], *, step: int) -> None:
        assert all(type(value) is float for value in metrics.values()), metrics
        self.logs.append((step, metrics))

    log_metrics = log

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_examples_of_trackers_log_every_epoch(
    name: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(data: str, callback: Any) -> residua.Run:
        assert data == "photos"
        return small_training(photos, tmp_path / "run", progress=False, callback=callback)

    tracker, page = Tracker(), (ROOT / "docs/how-to/wandb-and-mlflow.md").read_text()
    monkeypatch.setitem(sys.modules, name, tracker)  # type: ignore[arg-type]
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (block,) = (text for text in blocks if f"import {name}\n" in text)
    exec(block.replace("residua.train(", "train("), {"train": train})
    assert [step for step, _ in tracker.logs] == [3, 6, 9]
    assert {"train_loss", "test_error", "lr"} <= tracker.logs[-1][1].keys()
    assert tracker.is_closed
