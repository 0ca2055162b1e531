"""What a run measured, in a few lines for people: for notebooks, `repr` and the card of a hub."""

from residua.measure.score import wilson
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.spec.amount import plural, quantity
from residua.spec.recipe import Recipe
from residua.weights.facts import provenance_of
from residua.weights.store import read_facts


def network_name(recipe: Recipe) -> str:
    """`resnet18`, or `ssd300 on resnet18` with a detector."""
    return f"{recipe.detector.name} on {recipe.arch.name}" if recipe.detector else recipe.arch.name


def data_name(recipe: Recipe) -> str:
    """The last part of the source's path, or its name: nothing of the folders above it."""
    name, colon, place = recipe.data.source.partition(":")
    text = place if colon and "/" in place else recipe.data.source
    last = text.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return f"{name}:{last}" if text is place else last


def epochs_text(run: Run, recipe: Recipe) -> str:
    """`12 of 20 epochs`, `12 epochs` of a finished run."""
    done, planned = len(run.metrics), recipe.budget.epochs
    if run.finished:
        return quantity(done, "epoch")
    total = (
        f"of {quantity(planned, 'epoch')}" if planned and not recipe.budget.steps else plural(done, "epoch")
    )
    return f"{done} {total}, not finished"


def first_weights_text(run: Run, recipe: Recipe) -> str:
    """`Training began from resnet18.timm.a1, licence Apache-2.0, ...`; empty for weights drawn by the seed.

    Names of folders of this machine are left out.
    """
    if not recipe.weights:
        return ""
    states = checkpoint.list_checkpoints(run.checkpoints)
    if states and (origin := provenance_of(read_facts(states[0]))):
        is_own = recipe.weights.startswith(f"{origin.name}@")
        before = "" if is_own else f"{_last_part(recipe.weights)}, which began from "
        published = f" Published at {origin.source}." if origin.source.startswith("https://") else ""
        return f"Training began from {before}{origin.text}.{published}"
    return f"Training began from the weights of {_last_part(recipe.weights)}."


def _last_part(path: str) -> str:
    return path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def last_measure(run: Run) -> tuple[str, str] | None:
    """Name and value of what the last finished epoch measured on the test split; None before it.

    A run that holds out training images has them in the place of the test split until it is finished.

    The weights are those that `predictor` loads: the moving average where the run has one.
    """
    rows = run.metrics
    if result := run.result:
        return "test error", _error_text(result["test_error"], result["n"])
    last = rows[-1] if rows else {}
    prefix = "ema_" if "ema_test_error" in last else ""
    if (value := last.get(f"{prefix}test_map50")) is not None:
        return "test mAP@.5", f"{value:.1f} %"
    if (error := last.get(f"{prefix}test_error")) is None:
        return None
    if run.recipe.data.inner_val_fraction:
        return "error on held-out training images", f"{error:.2f} %"
    return "test error", _error_text(error, run.identity["test"])


def _error_text(error: float, n: int) -> str:
    low, high = wilson(round(n * error / 100), n)
    return f"{error:.2f} % (95 % interval {low:.2f} to {high:.2f}, n = {n:,})"
