"""The report of a run on videos: both accuracies, and baselines that use no frame."""

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
from residua.report.run_page import (
    architecture_table,
    error_figure,
    network_and_data,
    training_section,
)
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.spec.describe import cost
from residua.tasks.classify.pages import mistakes
from residua.tasks.video.protocol import describe_clips, frame_rate


def write_report(run: Run, dataset: ImageDataset, clip: Evaluation, video: Evaluation) -> None:
    """Write `report.html` into a finished run.

    Args:
        run: the run.
        dataset: its data.
        clip: evaluation with one clip of each video.
        video: evaluation with thirty clips of each video.
    """
    recipe, rows = run.recipe, run.epochs("train_error")
    fps = frame_rate(dataset.test)
    scores = {
        view: replace(result, clip=describe_clips(recipe.arch, fps, view)).score
        for view, result in ((CLIP, clip), (VIDEO, video))
    }
    leak = find_clip_metadata_leak((dataset.train, dataset.test))
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
        Section("Result", (numbers, baseline_table(scores, clip, leak), error_figure(run))),
        Section("What this proves", (Text(conclusion(scores[VIDEO], leak, _majority_accuracy(clip))),)),
        Section("Mistakes", _mistakes(video)),
        Section("The network", (architecture_table(recipe.arch),)),
        Section("How it was made", training_section(run, sentences(recipe))),
    )
    page = Page(
        network_and_data(run),
        f"{dataset.note}. Trained with the recipe {recipe.name} on {scores[CLIP].clip.partition(';')[0]}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl.",
    )
    write_file(run.path / "report.html", render(page))


def baseline_table(scores: dict[str, Score], evaluation: Evaluation, leak: MetadataLeak | None) -> Table:
    """The accuracies of a network and of baselines that use no frame.

    Args:
        scores: of the network, by protocol.
        evaluation: gives the labels, for the majority class.
        leak: accuracy of metadata alone, where it was measured.

    Returns:
        A table with a row for each.
    """
    rows = [
        (f"{view}-level", f"{score.top1:.1f} %", _interval(score), f"{score.n:,}")
        for view, score in scores.items()
    ]
    if leak:
        rows.append(("metadata alone", f"{leak.accuracy:.1f} %", "–", f"{leak.images:,}"))
    rows.append(
        ("majority class", f"{_majority_accuracy(evaluation):.1f} %", "–", f"{len(evaluation.labels):,}")
    )
    protocols = "; ".join(f"{view}: {CLIP_VIEWS[view]} ({score.clip})" for view, score in scores.items())
    if leak:
        protocols += "; metadata: a small decision tree on size, length and frame rate, five folds"
    caption = f"Top-1 accuracy, each video counted once. {protocols}.".replace(". clip:", ". Clip:")
    columns = ("prediction by", "accuracy", "95 % interval", "clips")
    return Table(columns, tuple(rows), caption, numeric=(1, 2, 3))


def conclusion(score: Score, leak: MetadataLeak | None, majority: float) -> tuple[str, ...]:
    """One or two sentences on what the accuracy proves.

    Args:
        score: video-level accuracy of the network.
        leak: accuracy of metadata alone, where it was measured.
        majority: accuracy of always predicting the most common class, in percent.

    Returns:
        The sentences.
    """
    low, high = score.interval
    is_leak_best = leak is not None and leak.accuracy >= majority
    best = leak.accuracy if leak and is_leak_best else majority
    baseline = "metadata alone" if is_leak_best else "always predicting the majority class"
    accuracy, against = f"At {score.top1:.1f} % the network is", f"{baseline} ({best:.1f} %)"
    if low > best:
        sentence = (
            f"{accuracy} better than {against}, by more than chance in "
            f"{quantity(score.n, 'video')} explains: it has "
            "learned something from the frames."
        )
    elif score.top1 > best:
        sentence = (
            f"{accuracy} better than {against}, but the 95 % interval on "
            f"{quantity(score.n, 'video')} is {low:.1f} to "
            f"{high:.1f} %: this does not prove that it uses the frames."
        )
    else:
        sentence = f"{accuracy} no better than {against}: nothing here shows that it uses the frames."
    if leak is None or leak.gain == 0.0:
        return (sentence,)
    facts = ", ".join(leak.facts) or "the files"
    return (sentence, f"Metadata predict the class ({facts}): a network may have learned that, too.")


def _mistakes(evaluation: Evaluation) -> tuple[Part, ...]:
    lead = Text(
        ("Video-level predictions. A picture is four frames, the first top left, the last bottom right.",)
    )
    return (lead, *mistakes(evaluation))


def _majority_accuracy(evaluation: Evaluation) -> float:
    return float(100 * np.bincount(evaluation.labels).max() / len(evaluation.labels))


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{low:.1f} to {high:.1f} %"
