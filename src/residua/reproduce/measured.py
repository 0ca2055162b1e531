"""What a finished run says under the measure of a paper's row; measured once, and kept in the run."""

import json
import statistics
from typing import Any

from residua.reproduce.published import PublishedRow
from residua.runs.run import Run, write


def measured(run: Run, row: PublishedRow) -> float | None:
    """The row's measure of a finished run; None for the top-5 error of five classes or fewer."""
    last = run.metrics[-1]
    if row.measure in ("train_error", "test_error"):
        return float(last[row.measure])
    if row.measure == "response":
        return statistics.fmean(responses(run)["deviations"])
    if row.measure == "top1_error" and row.views == "center":
        return float(last["test_error"])
    return _score(run, row.views)[row.measure]


def _score(run: Run, views: str) -> dict[str, float | None]:
    """Errors of `run` under `views`, from `run/scores.json` or measured and kept there."""
    from residua.jobs.evaluate import evaluate

    file = run.path / "scores.json"
    kept: dict[str, dict[str, float | None]] = json.loads(file.read_text()) if file.exists() else {}
    if views not in kept:
        score = evaluate(run, views=[views])[0]
        five = 100 - score.top5.value if score.top5 else None
        kept[views] = {"top1_error": score.error, "top5_error": five, "n": score.n}
        write(file, json.dumps(kept, indent=2, allow_nan=False))
    return kept[views]


def responses(run: Run) -> dict[str, tuple[Any, ...]]:
    """`layers` and `deviations` of what each 3x3 layer puts out for test images, kept in the run."""
    from residua.jobs.analyse import analyse

    file = run.path / "responses.json"
    if not file.exists():
        (study,) = analyse([run.path], what=["responses"])
        (found,) = study.numbers.values()
        write(file, json.dumps(found, indent=2, allow_nan=False))
    kept = json.loads(file.read_text())
    return {name: tuple(kept[name]) for name in ("layers", "deviations")}
