"""What people see of training, at any width."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from residua.events import Activity, DownloadProgress, EpochRow, Event, Note, PlanLine, StepProgress
from residua.progress import ProgressPrinter, format_duration, join_fitting, tick_facts

TICK = StepProgress(85, 12_000, 1.2131, 0.0037, 1640.2, 97_265.0, 3 << 29)
VALUES = {"epoch": 7, "step": 85, "lr": 0.1, "train_loss": 1.5, "train_error": 78.125, "test_error": 5.0}
ROW = EpochRow({**VALUES, "images_per_second": 671.4}, 20)


def render_events(width: int, *events: Event, terminal: bool = True) -> str:
    """What a console so wide shows, without the codes that move its cursor."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, soft_wrap=True
    )
    printer = ProgressPrinter(console)
    with printer.showing_bars():
        for event in events:
            printer.show(event)
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", console.file.getvalue())


def test_time_left_is_said_in_hours_when_there_are_any() -> None:
    assert [format_duration(seconds) for seconds in (7.2, 760, 97_265)] == ["0:07", "12:40", "27:01:05"]


def test_a_narrow_terminal_leaves_out_what_matters_least() -> None:
    parts = [" 0 %", *tick_facts(TICK, "image")]
    whole = " 0 %  27:01:05 left  loss 1.213  1,640 images/s  lr 0.0037  1.5 GiB"
    assert join_fitting(parts, 80) == whole
    assert join_fitting(parts, len(whole) - 1) == whole.removesuffix("  1.5 GiB")
    assert join_fitting(parts, 1) == " 0 %"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_of_training_is_broken_by_a_terminal(width: int) -> None:
    long = Note("plan    " + "measured in channels_last, " * 8)
    lines = re.split(r"[\r\n]+", render_events(width, long, ROW, TICK))
    assert "epoch  7/20  loss 1.500  error 78.12 % train,  5.00 % test" in lines
    assert any("27:01:05 left" in line for line in lines)
    assert max(map(len, lines)) <= width
    parts = [line for line in lines if "channels_last" in line]
    assert " ".join(line.strip() for line in parts) == long.text.strip()
    assert {line[:8] for line in parts[1:]} == {" " * 8}


def test_without_a_terminal_a_line_is_one_line_and_has_the_speed() -> None:
    long = Note("plan    " + "measured in channels_last, " * 8)
    out = render_events(60, long, ROW, TICK, terminal=False)
    assert out.splitlines() == [
        long.text.rstrip(),
        "epoch  7/20  loss 1.500  error 78.12 % train,  5.00 % test  671 images/s",
        "step 85/12,000  27:01:05 left  loss 1.213  1,640 images/s  lr 0.0037  1.5 GiB",
    ]


def test_the_first_step_has_its_line_at_once_and_the_second_waits() -> None:
    unknown = replace(TICK, step=1, seconds_left=0.0)
    (line,) = render_events(80, unknown, TICK, terminal=False).splitlines()
    assert line.startswith("step 1/12,000  loss")


def test_what_takes_seconds_before_training_is_said_and_then_gone() -> None:
    before, now, after = (
        PlanLine("data    240 images"),
        Activity("timing, at most 6 s"),
        PlanLine("plan    float32"),
    )
    lines = render_events(80, before, now, after, terminal=False).splitlines()
    assert lines == ["data    240 images", "timing, at most 6 s ...", "plan    float32"]
    printer = ProgressPrinter(Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None))
    with printer.showing_bars():
        printer.show(before)
        printer.show(now)
        bars = printer._bars
        assert bars
        assert [task.description for task in bars.tasks] == ["timing, at most 6 s ..."]
        printer.show(after)
        assert not bars.tasks


def test_averaged_weights_and_boxes_have_their_own_words() -> None:
    mean = EpochRow({**ROW.values, "ema_test_error": 4.0}, 20)
    assert "5.00 % test,  4.00 % averaged" in render_events(80, mean)
    chooses = render_events(80, EpochRow(ROW.values, 20, is_held_out=True))
    assert "5.00 % held out" in chooses
    assert "test" not in chooses
    assert not render_events(80, EpochRow(ROW.values, 0)).strip()
    values = {name: ROW.values[name] for name in ("epoch", "step", "train_loss", "images_per_second")}
    boxes = EpochRow({**values, "test_map50": 35.0, "test_error": 65.0}, 20)
    assert "loss 1.500  mAP@.5 35.00 % test" in render_events(80, boxes)


def test_a_download_is_a_bar_and_without_a_terminal_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [DownloadProgress("net.pth", size << 20, 45 << 20) for size in (12, 44, 45)]
    assert render_events(80, *events, terminal=False) == ""
    monkeypatch.setattr("residua.progress.QUIET_SECONDS", -1)
    lines = render_events(80, *events, terminal=False).splitlines()
    assert [line.strip() for line in lines] == ["44 MiB of 45 MiB  net.pth", "45 MiB of 45 MiB  net.pth"]
    assert "44 MiB of 45 MiB  net.pth" in render_events(60, *events[:2])
    assert "12 MiB" in render_events(60, DownloadProgress("net.pth", 12 << 20, 0))
