"""The result of a run that held out training images: its kept weights, evaluated once on the test images."""

from typing import Any

from residua.measure.score import wilson
from residua.runs.run import Run
from residua.spec.amount import quantity


def record_result(run: Run, evaluation: Any) -> str:
    """Write what the kept weights give on the test images into `finished.json`.

    Args:
        run: A finished run.
        evaluation: An `Evaluation` of its kept weights on the test images.

    Returns:
        The result on one line: accuracy, interval, number of images, and which epoch was kept and why.
    """
    rows = run.metrics
    best = min(rows, key=lambda row: (_rank(row), row["step"]))
    n = len(evaluation.labels)
    result = {"epoch": best["epoch"], "test_error": 100 * evaluation.wrong / n, "n": n}
    run.mark_finished({**rows[-1], "result": result})
    which = "the probe" if best["epoch"] == 0 else f"epoch {best['epoch']}"
    return f"{accuracy_text(evaluation)}; kept: {which}, best on the held-out images"


def accuracy_text(evaluation: Any) -> str:
    """`91.7 % right of the 48 test images (95 % interval 80.4 to 96.7)` for an `Evaluation`."""
    n = len(evaluation.labels)
    right = n - evaluation.wrong
    low, high = wilson(right, n)
    accuracy = f"{100 * right / n:.1f} % right of the {quantity(n, 'test image')}"
    return f"{accuracy} (95 % interval {low:.1f} to {high:.1f})"


def _rank(row: dict[str, float]) -> tuple[float, float]:
    prefix = "ema_" if "ema_test_error" in row else ""
    return row[f"{prefix}test_error"], row.get(f"{prefix}test_loss", 0.0)
