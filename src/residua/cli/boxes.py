"""`residua evaluate` and `residua predict` of detectors."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import BAD_DATA
from residua.cli.processes import speaks
from residua.cli.terminal import console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.boxes import FoundBoxes
    from residua.tasks.detect.score import BoxScore


def evaluate(
    trained: list[Path],
    data: str | None,
    protocols: list[str],
    weights: str,
    out: Path | None,
    predictions: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Judge detectors: every number with its protocol, the number of images and of objects."""
    from residua.jobs.boxes import find, of_judgement, save
    from residua.jobs.predict import check_out
    from residua.tasks.detect.pages import write_evaluation
    from residua.training.world import joined

    check_out(out, force=force, suffixes=(".html",))
    check_out(predictions, force=force)
    with joined() as world:
        found = find(trained, data=data, protocols=protocols, weights=weights, world=world)
    if not speaks():
        return
    to = console(json_on_stdout=as_json)
    if predictions:
        save(predictions, of_judgement(found[0].judgement))
        say(to, f"boxes of {found[0].scores[0].n:,} images ({found[0].name}) written to {predictions}")
    if out:
        words = [*map(str, trained), *(["--data", data] if data else [])]
        command = (
            f"residua evaluate {' '.join(words)} --views {','.join(s.protocol for s in found[0].scores)}"
        )
        write_evaluation(out, found[0].name, found[0].judgement, found[0].scores, command=command)
        say(to, f"page written to {out}")
    if as_json:
        put_json({"scores": [_plain(score, one.name) for one in found for score in one.scores]})
        return
    _say(to, found)
    next_line(to, f"residua predict {trained[0]} IMAGE --draw DIR")


def predict(
    trained: Path,
    images: list[Path],
    folder: Path | None,
    least: float | None,
    out: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Find boxes in pictures, and draw them."""
    from residua.data.sources import list_images
    from residua.jobs.boxes import answers, draw, save
    from residua.jobs.predict import check_out
    from residua.tasks.detect.finder import LEAST, load

    check_out(out, force=force)
    finder = load(trained)
    to = console(json_on_stdout=as_json)
    found = list(answers(finder, list_images(images), least=LEAST if least is None else least))
    good = [answer for answer in found if not answer.error]
    if out:
        save(out, found)
        say(to, f"boxes of {len(good)} of {len(found)} images written to {out}")
    if folder:
        say(to, f"{draw(folder, finder, found, force=force)} pictures drawn in {folder}")
    if as_json:
        put_json([answer.plain() for answer in found])
    elif not (out or folder):
        rows = [
            (
                answer.file,
                box["class"],
                f"{100 * box['score']:.0f} %",
                *(f"{side:.0f}" for side in box["box"]),
            )
            for answer in good
            for box in answer.plain()["boxes"]
        ]
        show_table(to, ("file", "class", "score", "left", "top", "right", "bottom"), rows, numeric=2)
        if not rows:
            say(to, "no box: --least 0.1 shows those it is less sure of")
    for answer in found:
        if answer.error:
            say(console(json_on_stdout=True), f"residua: {answer.error}")
    next_line(to, f"residua evaluate {trained}")
    if len(good) < len(found):
        raise typer.Exit(BAD_DATA)


def _say(to: "Console", found: "list[FoundBoxes]") -> None:
    from residua.tasks.detect.score import SAYS

    several = len(found) > 1
    rows = [(*((one.name,) if several else ()), *_row(score)) for one in found for score in one.scores]
    head = ("protocol", "images", "weights", "n", "objects", "mAP", "95 % interval", "AP50", "AP75")
    show_table(to, (("detector", *head) if several else head), rows, numeric=4 if several else 3)
    for one in found:
        for score in one.scores[:1]:
            each = ", ".join(f"{name} {ap:.1f}" for name, ap in score.classes[:12])
            say(
                to,
                f"{one.name}, {score.protocol}, by class: {each}{' ...' if len(score.classes) > 12 else ''}",
            )
    for protocol in dict.fromkeys(score.protocol for one in found for score in one.scores):
        say(to, f"{protocol}: {SAYS[protocol]}", "dim")


def _row(score: "BoxScore") -> tuple[str, ...]:
    parts = dict(score.parts)
    low, high = score.interval or (0.0, 0.0)
    return (
        score.protocol,
        score.split,
        score.weights,
        f"{score.n:,}",
        f"{score.boxes:,}",
        f"{score.value:.2f} %",
        f"{low:.2f} to {high:.2f} %" if score.interval else "–",
        *(f"{parts[name]:.2f} %" if name in parts else "–" for name in ("AP50", "AP75")),
    )


def _plain(score: "BoxScore", name: str) -> dict[str, object]:
    """As JSON values: what has no number is null."""

    def number(value: float) -> float | None:
        return round(value, 4) if math.isfinite(value) else None

    return {
        "run": name,
        "views": score.protocol,
        "map": number(score.value),
        "interval": list(score.interval) if score.interval else None,
        "parts": {part: number(value) for part, value in score.parts},
        "classes": {each: number(value) for each, value in score.classes},
        "n": score.n,
        "boxes": score.boxes,
        "split": score.split,
        "weights": score.weights,
    }
