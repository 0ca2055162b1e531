"""Compare trained networks example by example."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua import tasks
from residua.errors import ConfigError
from residua.jobs.evaluate import Trained, evaluate_networks, paths_of
from residua.jobs.tables import save_table
from residua.measure.compare import Comparison, changed, compare_evaluations, holm
from residua.measure.evaluation import Evaluation, match_examples
from residua.tasks.classify.evaluations import ClassEvaluations
from residua.tasks.predict_task import EvaluationRequest


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """The first network and one of the others."""

    first: Evaluation
    """The evaluation of the first."""
    second: Evaluation
    """The evaluation of the other, with classes in the order of the first."""
    comparison: Comparison
    """How they differ."""
    p: float
    """McNemar's p, corrected for the number of pairs (Holm 1979)."""


def compare(
    trained: Sequence[Trained], *, data: str | Path | None = None, view: str = "", weights: str = "auto"
) -> list[Pair]:
    """Compare every network with the first, example by example.

    Args:
        trained: At least two runs, saved folders or checkpoint files that classify.
        data: A source; None takes the test splits of the runs, which must be the same.
        view: The protocol; by default `center` for images and `video` for videos.
        weights: As in `evaluate`.

    Returns:
        One pair for each network but the first.

    Raises:
        ConfigError: There are fewer than two networks, or they cannot be compared.
        DataError: Examples cannot be used.
        CheckpointError: Weights cannot be used.
    """
    if len(trained) < 2:
        raise ConfigError("fewer than two networks: give at least two to compare")
    paths, source = paths_of(trained), None if data is None else str(data)
    if "topk" not in tasks.evaluate_task_of(paths).options:
        raise ConfigError(f"{paths[0]} is a detector: compare networks that classify")
    result = evaluate_networks(paths, EvaluationRequest(source, (view,) if view else (), weights))
    assert isinstance(result, ClassEvaluations)
    protocol = view or result.evaluations[-1].protocol
    first, *others = match_examples([one for one in result.evaluations if one.protocol == protocol])
    comparisons = [compare_evaluations(first, other) for other in others]
    corrected = holm(tuple(one.p for one in comparisons))
    return [Pair(first, other, one, p) for other, one, p in zip(others, comparisons, corrected, strict=True)]


def save_changed(out: Path, pairs: Sequence[Pair]) -> int:
    """Write the examples that a pair predicts differently to a file.

    Args:
        out: A path that ends in .csv, .jsonl or .parquet.
        pairs: From `compare`.

    Returns:
        The number of rows.

    Raises:
        ConfigError: Parquet needs a missing package.
    """
    values = [row for pair in pairs for row in changes(pair)]
    head = ("file", "label", "run", "first", "first_probability", "second", "second_probability", "change")
    save_table(out, head, [tuple(row[name] for name in head) for row in values], values=values)
    return len(values)


def changes(pair: Pair) -> list[dict[str, Any]]:
    """The examples that the two predict differently, as JSON values, in the order of `changed`."""
    one, two, split = pair.first, pair.second, pair.first.split
    rows = []
    for i in changed(one, two).tolist():
        is_right = (bool(one.predicted[i] == one.labels[i]), bool(two.predicted[i] == two.labels[i]))
        rows.append(
            {
                "file": split.title(i),
                "label": split.classes[one.labels[i]],
                "run": two.network,
                "first": split.classes[one.predicted[i]],
                "first_probability": float(one.probabilities[i].max()),
                "second": split.classes[two.predicted[i]],
                "second_probability": float(two.probabilities[i].max()),
                "change": {(True, False): "lost", (False, True): "won"}.get(is_right, "wrong in both"),
            }
        )
    return rows
