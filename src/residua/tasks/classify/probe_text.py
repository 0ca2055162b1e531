"""A linear probe in words: how many images it and its baseline get right, and how that was measured."""

from residua.measure.score import wilson
from residua.runs.probe_record import ProbeRecord


def probe_text(record: ProbeRecord) -> str:
    """`linear probe, 91.2 % right (95 % interval 88.1 to 93.6), n = 240 training images, 5 folds`."""
    return f"linear probe, {_text(record, record.right)}"


def neighbours_text(record: ProbeRecord) -> str:
    """The same of the nearest neighbours."""
    return f"{record.neighbours} nearest neighbours, {_text(record, record.knn_right)}"


def _text(record: ProbeRecord, right: int) -> str:
    if not record.n:
        return "not measured: no class has two images"
    low, high = wilson(right, record.n)
    accuracy = f"{100 * right / record.n:.1f} % right (95 % interval {low:.1f} to {high:.1f})"
    return f"{accuracy}, n = {record.n:,} {record.split} images, {record.folds} folds"
