"""The report of a run on clips: both accuracies, beside what can be had without looking at a frame."""

from dataclasses import replace

import numpy as np

from residua.data.images import ImageDataset
from residua.data.metadata import MetadataLeak
from residua.data.video.clips import find_clip_metadata_leak
from residua.files import write_file
from residua.measure.evaluation import Evaluation
from residua.measure.score import Score
from residua.measure.views import CLIP, CLIP_VIEWS, VIDEO
from residua.recipes.sentences import sentences
from residua.report.page import Numbers, Page, Part, Section, Table, Text, render
from residua.report.run_page import architecture, curves, making
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.tasks.classify.pages import mistakes
from residua.tasks.video.protocol import describe_clips, frame_rate


def write_report(run: Run, dataset: ImageDataset, clip: Evaluation, video: Evaluation) -> None:
    """Write `report.html` into the finished `run`: judged by one clip of each video, and by thirty."""
    recipe, rows = run.recipe, run.metrics
    fps = frame_rate(dataset.test)
    scores = {
        view: replace(result, clip=describe_clips(recipe.arch, fps, view)).score
        for view, result in ((CLIP, clip), (VIDEO, video))
    }
    alone = find_clip_metadata_leak((dataset.train, dataset.test))
    numbers = Numbers(
        (
            *(
                (
                    f"{scores[view].top1:.1f} %",
                    f"{view}-level accuracy, 95 % interval {_interval(scores[view])}, n = {scores[view].n:,}",
                )
                for view in CLIP_VIEWS
            ),
            (f"{rows[-1]['train_error']:.1f} %", "training error in the last epoch, as augmented"),
            (f"{cost(recipe.arch).params / 1e6:.2f} M", "parameters"),
        )
    )
    sections = (
        Section("Result", (numbers, beside(scores, clip, alone), curves(run))),
        Section("What this shows", (Text(verdict(scores[VIDEO], alone, _commonest(clip))),)),
        Section("Where it errs", _mistakes(video)),
        Section("The network", (architecture(recipe.arch),)),
        Section("How it was made", making(run, sentences(recipe))),
    )
    page = Page(
        f"{recipe.arch.name} on {run.path.name}",
        f"{dataset.note}. Trained with the recipe {recipe.name} on {scores[CLIP].clip.partition(';')[0]}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl.",
    )
    write_file(run.path / "report.html", render(page))


def beside(scores: dict[str, Score], evaluation: Evaluation, alone: MetadataLeak | None) -> Table:
    """Both accuracies, and what needs no network."""
    rows = [
        (f"{view}-level", f"{score.top1:.1f} %", _interval(score), f"{score.n:,}")
        for view, score in scores.items()
    ]
    if alone:
        rows.append(("metadata alone", f"{alone.accuracy:.1f} %", "–", f"{alone.images:,}"))
    rows.append(
        ("the commonest class", f"{_commonest(evaluation):.1f} %", "–", f"{len(evaluation.labels):,}")
    )
    shown = "; ".join(f"{view}: {CLIP_VIEWS[view]} ({score.clip})" for view, score in scores.items())
    tree = "; metadata: a small tree that sees size, length and frame rate, five folds" if alone else ""
    caption = f"Top-1 accuracy, each video counted once. {shown}{tree}.".replace(". clip:", ". Clip:")
    return Table(("who answers", "right", "95 % interval", "clips"), tuple(rows), caption, numeric=(1, 2, 3))


def verdict(score: Score, alone: MetadataLeak | None, commonest: float) -> tuple[str, ...]:
    """What the number proves, in a sentence or two that claim no more."""
    low, high = score.interval
    best = max(commonest, alone.accuracy if alone else 0.0)
    what = "metadata alone" if alone and alone.accuracy >= commonest else "always saying the commonest class"
    if low > best:
        first = (
            f"At {score.top1:.1f} % the network is ahead of {what} ({best:.1f} %), by more than chance in "
            f"{score.n:,} videos explains: it has learned something from the frames."
        )
    elif score.top1 > best:
        first = (
            f"At {score.top1:.1f} % the network is ahead of {what} ({best:.1f} %), but {score.n:,} videos "
            f"leave {low:.1f} to {high:.1f} % open: this does not prove that it looks at what happens."
        )
    else:
        first = (
            f"At {score.top1:.1f} % the network is no better than {what} ({best:.1f} %): nothing here shows "
            "that it looks at what happens."
        )
    if alone is None or alone.gain == 0.0:
        return (first,)
    facts_ = ", ".join(alone.facts) or "the files"
    return (first, f"Metadata tell the class ({facts_}): a network may have learned that, too.")


def _mistakes(evaluation: Evaluation) -> tuple[Part, ...]:
    lead = Text(("Judged by video. A picture is four frames, the first above left, the last below right.",))
    return (lead, *mistakes(evaluation))


def _commonest(evaluation: Evaluation) -> float:
    return float(100 * np.bincount(evaluation.labels).max() / len(evaluation.labels))


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{low:.1f} to {high:.1f} %"
