"""Holding trained networks against each other on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua import tasks
from residua.jobs.evaluate import Trained, judge, paths_of
from residua.jobs.predict import save_table
from residua.measure.compare import Comparison, changed, holm
from residua.measure.compare import compare as held_against
from residua.tasks.classify.found import Found, comparable
from residua.tasks.classify.verdict import ByClass


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """One network beside the first."""

    first: Found
    """What the first says."""
    second: Found
    """What the other says."""
    comparison: Comparison
    """How they differ."""
    p: float
    """McNemar's p, raised for the number of pairs (Holm 1979)."""


def compare(
    trained: Sequence[Trained], *, data: str | Path | None = None, view: str = "", weights: str = "auto"
) -> list[Pair]:
    """Every run or checkpoint after the first, held against the first, image by image.

    Without `data`, on the images that the runs kept apart, if they are the same; without `view`, pictures by
    their centre and videos as a whole. ValueError for fewer than two, or for what cannot be compared.
    """
    if len(trained) < 2:
        raise ValueError("fewer than two networks: give at least two to compare")
    paths, where = paths_of(trained), None if data is None else str(data)
    if not tasks.of_trained(paths).counts_wrong:
        raise ValueError(f"{paths[0]} says more than one class of an image: compare networks that classify")
    verdict = judge(paths, data=where, views=[view] if view else [], weights=weights)
    assert isinstance(verdict, ByClass)
    every = verdict.found
    wanted = view or every[-1].score.views
    first, *rest = comparable([one for one in every if one.score.views == wanted])
    compared = [held_against(first.judgement, other.judgement) for other in rest]
    raised = holm(tuple(one.p for one in compared))
    return [Pair(first, other, one, p) for other, one, p in zip(rest, compared, raised, strict=True)]


def save_changed(out: Path, pairs: Sequence[Pair]) -> int:
    """Write the images on which a pair disagrees to `out` (.csv, .jsonl or .parquet); how many rows."""
    plain = [row for pair in pairs for row in changes(pair)]
    head = ("file", "label", "run", "first", "first_probability", "second", "second_probability", "change")
    save_table(out, head, [tuple(row[name] for name in head) for row in plain], plain=plain)
    return len(plain)


def changes(pair: Pair) -> list[dict[str, Any]]:
    """Every image on which the two disagree, those that changed sides first, as plain values."""
    images, one, two = pair.first.images, pair.first.judgement, pair.second.judgement
    found = []
    for i in changed(one, two).tolist():
        sides = (bool(one.guesses[i] == one.labels[i]), bool(two.guesses[i] == two.labels[i]))
        found.append(
            {
                "file": images.title(i),
                "label": images.classes[one.labels[i]],
                "run": pair.second.name,
                "first": images.classes[one.guesses[i]],
                "first_probability": float(one.probabilities[i].max()),
                "second": images.classes[two.guesses[i]],
                "second_probability": float(two.probabilities[i].max()),
                "change": {(True, False): "lost", (False, True): "won"}.get(sides, "wrong in both"),
            }
        )
    return found
