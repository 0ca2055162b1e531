"""The linear probe of a run: the last layer of its network, fitted before the first step."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from residua.data.images import ImageDataset, concatenate
from residua.data.inner_split import split_training
from residua.errors import ConfigError
from residua.events import Event
from residua.nn.network import Network
from residua.runs.probe_record import ProbeRecord
from residua.spec.amount import quantity
from residua.spec.printable import printable
from residua.spec.recipe import Recipe
from residua.tasks.classify.probe_text import neighbours_text, probe_text
from residua.training.frozen_features import FrozenFeatures, extract_features
from residua.training.learn_task import AnyLearnTask
from residua.training.linear_probe import FOLDS, STRENGTHS, LinearProbe, fit_probe, install_head

RECIPES = ("finetune", "probe")
"""Recipes by name that begin from pretrained weights; `auto` where the user names none."""
LEAST_MINUTES = 0.1
"""Minutes below which nothing is trained after the probe; our choice."""
MOST_FOR_ALL = 1000
"""Images of a source without a split below which the probe is measured on all of them; our choice."""
MOST_TO_REFIT = 20_000
"""Training images up to which a probe that is kept is fitted to the held-out ones, too; our choice."""
IMBALANCE = 3.0
"""Largest class through smallest from which on fine-tuning weights classes; our choice."""
MIN_TO_TRAIN = 5
"""Training images of a class below which the probe alone is used: one of them is held out; our choice."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A run whose probe was fitted, where its recipe has one."""

    recipe: Recipe
    """The recipe; that of the probe alone where no time is left to train."""
    minutes: float | None
    """Minutes that are left; None where they say nothing about the length."""
    record: ProbeRecord | None = None
    """What the probe gave; None without one."""
    lines: tuple[tuple[str, str], ...] = ()
    """Names and texts of lines for the user."""
    of_all: LinearProbe | None = None
    """The probe fitted to all training images, for a run that keeps it; None where nothing is held out."""


def fit_head(
    network: Network,
    recipe: Recipe,
    *,
    learned: Any,
    whole: Any,
    title: str,
    folds: int | None,
    listen: Callable[[Event], None] = lambda _: None,
) -> tuple[ProbeRecord, tuple[tuple[str, str], ...], LinearProbe | None]:
    """Give `network` the last layer that a regularized logistic regression fits, and measure that.

    Args:
        network: With pretrained weights; its last layer is replaced in place.
        recipe: Gives the plan and the seed.
        learned: The dataset that training sees: the layer is fitted on its training images.
        whole: The data of the run.
        title: The weights, for people.
        folds: Folds of the cross-validation; None takes FOLDS, 1 leaves out the test images.
        listen: Receives what is done, before it takes seconds.

    Returns:
        The record of the run, lines for the user, and the probe fitted to all training images; None where
        none are held out, or they are many.
    """
    is_small = len(whole.train) + len(whole.test) < MOST_FOR_ALL
    is_whole = is_small and not whole.has_split and folds != 1
    split = "all" if is_whole else "training"
    folds = FOLDS if folds in (None, 1) else folds
    refits = recipe.data.inner_val_fraction > 0 and len(whole.train) <= MOST_TO_REFIT
    others = [*([learned.test] if refits else []), *([whole.test] if is_whole else [])]
    every = concatenate([learned.train, *others], name=split) if others else learned.train
    features = extract_features(network, every, recipe.plan, seed=recipe.seed, listen=listen)
    measured = fit_probe(features, folds=folds, listen=listen)
    probe = measured
    if others:  # test images may not choose the strength
        strengths = STRENGTHS if is_whole else (measured.strength,)
        first = first_images(features, len(learned.train))
        probe = fit_probe(first, folds=folds, strengths=strengths, is_measured=is_whole, listen=listen)
    of_all = None
    if refits:
        trained = first_images(features, len(whole.train))
        of_all = fit_probe(trained, strengths=(probe.strength,), is_measured=False, listen=listen)
    install_head(network, probe)
    baseline = measured.neighbours
    record = ProbeRecord(
        title,
        measured.n,
        measured.folds,
        int(measured.right.sum()),
        round(baseline.accuracy.value * measured.n / 100) if baseline else 0,
        baseline.k if baseline else 0,
        probe.strength,
        split,
        measured.notes,
    )
    seconds = f"{features.seconds + measured.seconds:.0f} s"
    lines = (
        ("probe", "; ".join((probe_text(record), seconds, *measured.notes))),
        ("knn", neighbours_text(record)),
    )
    return record, lines if record.n else lines[:1], of_all


def first_images(features: FrozenFeatures, count: int) -> FrozenFeatures:
    """`features` of the first `count` images alone."""
    copies = (tuple(index for index in group if index < count) for group in features.copies)
    return replace(
        features,
        values=features.values[:, :count],
        labels=features.labels[:count],
        hashes=features.hashes[:count],
        copies=tuple(group for group in copies if len(group) > 1),
        total=count,
    )


def begin_with_probe(
    network: Network,
    recipe: Recipe,
    whole: Any,
    *,
    minutes: float | None,
    folds: int | None,
    title: str,
    is_dry: bool,
    listen: Callable[[Event], None] = lambda _: None,
) -> Probed:
    """Fit the last layer of `network` where `recipe` begins with a probe, and see what time is left.

    A small source without a split of its own is predicted whole, by cross-validation, so that the number has
    a narrow interval.

    Args:
        network: With pretrained weights; its last layer is replaced in place.
        recipe: The recipe, with a plan without `auto`.
        whole: The data of the run.
        minutes: Minutes for all of it; None for no limit.
        folds: Folds of the cross-validation; None takes FOLDS, 1 leaves out the test images.
        title: The weights, for people.
        is_dry: Whether nothing is fitted, because the run is only planned.
        listen: Receives what is done, before it takes seconds.

    Returns:
        The recipe to train with, and what the probe gave.
    """
    if recipe.probe == "off":
        return Probed(recipe, minutes)
    if is_dry:
        return Probed(
            recipe, minutes, lines=(("probe", "fitted before the first step; a dry run fits none"),)
        )
    began = time.monotonic()
    learned = split_training(whole, recipe.data.inner_val_fraction)
    record, lines, of_all = fit_head(
        network, recipe, learned=learned, whole=whole, title=title, folds=folds, listen=listen
    )
    left = None if minutes is None else minutes - (time.monotonic() - began) / 60
    if recipe.probe == "only" or left is None or left > LEAST_MINUTES:
        return Probed(recipe, None if recipe.probe == "only" else left, record, lines, of_all)
    if of_all:
        install_head(network, of_all)
    line = ("minutes", f"no time is left of {minutes:g} to train after the probe")
    alone = replace(recipe, probe="only", data=replace(recipe.data, inner_val_fraction=0.0))
    return Probed(alone, None, record, (*lines, line))


def with_balance(recipe: Recipe, dataset: Any, *, settings: Collection[str]) -> Recipe:
    """`recipe` that weights classes, where it begins with a probe and their sizes differ much."""
    if recipe.probe == "off" or "data.balance" in settings or not imbalance(dataset.train.labels):
        return recipe
    return replace(recipe, data=replace(recipe.data, balance="weights"))


def balance_note(recipe: Recipe, dataset: Any, *, settings: Collection[str]) -> str:
    """That classes are weighted because of their sizes; empty where that was not chosen."""
    if recipe.probe != "first" or recipe.data.balance != "weights" or "data.balance" in settings:
        return ""
    ratio = imbalance(dataset.train.labels)
    text = f"the largest has {ratio:.1f} times the images of the smallest, so that fine-tuning weights them"
    return f"{text} (--set data.balance=none)"


def check_probe(recipe: Recipe, task: AnyLearnTask, *, folds: int | None = None) -> None:
    """ConfigError for a probe of data that have no one class each, or without pretrained weights.

    So it is for folds of a probe that the run does not have.
    """
    if recipe.probe == "off":
        if folds is not None:
            raise ConfigError(
                f"folds {folds}: they measure the linear probe of pretrained weights, and this run has none: "
                "leave them out, or give weights"
            )
        return
    if not task.fine_tuning:
        raise ConfigError(f"probe is {recipe.probe}, which needs images with one class each: set probe=off")
    if not recipe.weights:
        raise ConfigError(f"probe is {recipe.probe}, which needs pretrained weights: give --weights")


def imbalance(labels: Any) -> float:
    """Images of the largest class through those of the smallest; 0 where that is below IMBALANCE."""
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    ratio = float(counts.max() / counts.min())
    return ratio if ratio >= IMBALANCE else 0.0


def few_of_a_class(dataset: ImageDataset) -> str:
    """Which class has too few training images to hold some out and train on the rest; empty for none."""
    counts = np.bincount(dataset.train.labels)
    label = int(np.where(counts > 0, counts, len(dataset.train) + 1).argmin())
    if counts[label] >= MIN_TO_TRAIN:
        return ""
    name, images = printable(dataset.train.classes[label]), quantity(int(counts[label]), "training image")
    return (
        f"{name} has {images}: the last layer alone is fitted; all layers need {MIN_TO_TRAIN} of each class"
    )
