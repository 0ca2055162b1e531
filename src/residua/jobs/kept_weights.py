"""The result of a run that held out training images: its kept weights, evaluated once on the test images."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from residua.errors import CheckpointError
from residua.measure.score import wilson
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.probe_record import HEAD
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.training.linear_probe import LinearProbe
from residua.weights.load import PREFIX, head_keys
from residua.weights.store import publish, read


def store_head(path: Path, network: Network, probe: LinearProbe) -> None:
    """Write the last layer of `probe`, which was fitted to all training images, into the run at `path`.

    Args:
        path: The run directory.
        network: The network that the probe belongs to.
        probe: The probe.
    """
    tensors = {
        f"{PREFIX}{name}": probe.bias if name.endswith(".bias") else probe.weight
        for name in head_keys(network)
    }
    publish(Run(path).checkpoints / HEAD, tensors, {"kind": "head", "strength": probe.strength})


def finish_probe(run: Run) -> None:
    """Where a finished run keeps its probe, give it the last layer that all training images fitted.

    The choice is made by then, so the held-out images may be learned from. Doing it twice changes nothing.
    """
    head, best = run.checkpoints / HEAD, run.checkpoints / checkpoint.BEST
    if not run.recipe.data.inner_val_fraction or not head.exists() or _best_row(run)["epoch"]:
        return
    with suppress(CheckpointError):  # a damaged head leaves the one of the choice
        layer, _ = read(head)
        tensors, facts = read(best)
        publish(best, {**tensors, **layer}, facts)


def _best_row(run: Run) -> dict[str, Any]:
    """The epoch that the held-out images chose."""
    return min(run.metrics, key=lambda row: (_rank(row), row["step"]))


def record_result(run: Run, evaluation: Any) -> str:
    """Write what the kept weights give on the test images into `finished.json`.

    Args:
        run: A finished run.
        evaluation: An `Evaluation` of its kept weights on the test images.

    Returns:
        The result on one line: accuracy, interval, number of images, and which epoch was kept and why.
    """
    rows = run.metrics
    best = _best_row(run)
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
