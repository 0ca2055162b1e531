"""Studies of networks: which images, which studies, and the page that shows them."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from residua import tasks
from residua.analyse.copies import recalibrated_copy
from residua.analyse.study import Needs, Study, StudyResult, Subject, distinct_parts, run_study
from residua.analyse.table import STUDIES, find_study
from residua.data.batches import evaluation_batches
from residua.data.images import Images
from residua.data.open import open_dataset
from residua.data.sources.table import parse_source
from residua.data.transforms import normalise
from residua.errors import ConfigError
from residua.files import write_file
from residua.nn.device import resolve_device
from residua.nn.network import Network, build
from residua.predict.predictor import load_network
from residua.report.page import Figures, Page, Part, Section, Text, render
from residua.report.standalone import write_all_formats
from residua.spec.amount import quantity
from residua.spec.named_network import arch_of, is_file, origin_of
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.version import __version__
from residua.weights.named import names_weights

IMAGES = 256
"""Images for each study by default, at most."""
HOLDOUT = 0.2
"""Share of a source without a split of its own that is kept from training."""


def analyse(
    trained: Sequence[str | Path],
    *,
    what: Sequence[str] = (),
    data: str | Path | None = None,
    out: str | Path | None = None,
    images: int = IMAGES,
    device: str = "cpu",
    force: bool = False,
    listen: Callable[[str], None] = lambda _: None,
) -> list[StudyResult]:
    """Study networks side by side.

    Args:
        trained: Runs, checkpoint files or networks by name (`resnet34:shortcut=A`, or a JSON file), which
            have fresh weights, and batch norms that are calibrated on the images.
        what: Names of studies; none means all that fit.
        data: Images to study with; None takes the test images of each run.
        out: Folder for a page, each figure as SVG (with the extra `figures` as PDF and PNG, too), and the
            numbers as JSON; None writes nothing.
        images: How many images, at most.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` for the first accelerator, else the CPU; never `mps`, which
            cannot compute in float64.
        force: Whether to replace an analysis in `out`.
        listen: Called with a line for each study that is done, and for each network that is left out.

    Returns:
        One result a study, in the order of `what` or of the table.

    Raises:
        ConfigError: the device cannot be used, or a study is unknown, lacks images, or was asked for and fits
            no network.
        FileExistsError: `out` holds an analysis, and `force` is not given.
    """
    if not trained:
        raise ConfigError("no network to study: give a run, a checkpoint file or a model name")
    requested = [find_study(name) for name in what]
    if images < 2:
        raise ConfigError(f"{images} images: give at least 2")
    place = _study_device(device)
    folder = _prepare_folder(Path(out), force=force) if out else None
    for name in filter(_is_named, map(str, trained)):
        arch_of(name)  # a mistake is refused before data are opened
    subjects = [_subject(str(one), None if data is None else str(data), images) for one in trained]
    subjects = [_placed(subject, place) for subject in _with_distinct_names(subjects)]
    studies = requested or [
        study for study in map(find_study, STUDIES) if subjects[0].images or study.needs is Needs.NOTHING
    ]
    results = [r for study in studies if (r := _run(study, subjects, bool(requested), listen))]
    if folder:
        _write(folder, subjects, results)
    return results


def _study_device(name: str) -> torch.device:
    """The device called `name`. ConfigError where it cannot compute in float64, as some studies do."""
    device = resolve_device(name)
    if device.type == "mps":
        raise ConfigError("studies compute in float64, which mps cannot: give --device cpu")
    return device


def _placed(subject: Subject, device: torch.device) -> Subject:
    inputs, labels = subject.inputs.to(device), subject.labels.to(device)
    return replace(subject, network=subject.network.to(device), inputs=inputs, labels=labels)


def _run(
    study: Study[Any], subjects: Sequence[Subject], was_asked: bool, listen: Callable[[str], None]
) -> StudyResult | None:
    """The result; None if it fits no network and was not asked for by name."""
    if study.needs is not Needs.NOTHING and not all(subject.images for subject in subjects):
        raise ConfigError(f"{study.name} needs images: give --data")
    begun = time.monotonic()
    try:
        result = run_study(study, subjects)
    except ConfigError as error:
        if was_asked:
            raise
        listen(f"{study.name:12} left out: {error}")
        return None
    for line in result.skipped:
        listen(f"{study.name:12} left out: {line}")
    listen(f"{study.name:12} {time.monotonic() - begun:.1f} s  {result.summary}")
    return result


def _subject(trained: str, data: str | None, count: int) -> Subject:
    """The network of a run, a checkpoint file or a name, with at most `count` images."""
    if _is_named(trained):
        return _fresh_subject(trained, data, count)
    network = load_network(Path(trained))
    if network.arch.clip:
        raise ConfigError(f"{trained} is a network for clips: analyse takes networks for images")
    images = None
    if data is not None or (Path(trained) / "recipe.json").is_file():
        task = tasks.evaluate_task_of([Path(trained)])
        images = _sample(task.examples(Path(trained), data, network.class_names), count)
    name = trained if names_weights(trained) else Path(trained).stem or trained
    return _with_images(name, network, images)


def _is_named(trained: str) -> bool:
    """Whether `trained` is a network by name or a JSON file, and no run, checkpoint or published weights.

    ConfigError for a run with changes.
    """
    origin = origin_of(trained)
    if is_file(origin):
        return True
    if Path(trained).exists() or names_weights(trained):
        return False
    is_named = Path(origin).name == origin and not Path(origin).suffix
    if origin != trained and not is_named:
        raise ConfigError(f"{origin} is no name of a network: only those take changes, leave them out")
    return is_named


def _fresh_subject(name: str, data: str | None, count: int) -> Subject:
    """The network of that name with weights of seed 0, adapted to `data` if given."""
    arch = arch_of(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if data is None:
            return _with_images(arch.name, build(arch).eval(), None)
        dataset = open_dataset(parse_source(data).absolute(), val_fraction=HOLDOUT)
        network = build(ClassifyLearn().adapt(arch, dataset))
    network.class_names = dataset.test.classes
    subject = _with_images(arch.name, network.eval(), _sample(dataset.test, count))
    return replace(subject, network=recalibrated_copy(network, subject.inputs))


def _with_images(name: str, network: Network, images: Images | None) -> Subject:
    if images is None:
        return Subject(name, network, None, torch.empty(0), torch.empty(0, dtype=torch.int64))
    batches = evaluation_batches(
        images, network.preprocess, batch_size=len(images), workers=0, resident_bytes=0
    )
    batch = next(iter(batches))
    return Subject(name, network, images, normalise(batch.images, network.preprocess), batch.labels)


def subject_of(name: str, network: Network, images: Images, *, count: int = 0) -> Subject:
    """A network with images to study it with.

    Args:
        name: What figures call it.
        network: The network, in eval mode.
        images: Images it was not trained on.
        count: How many of them, at most, always the same ones; 0 takes all.
    """
    return _with_images(name, network, _sample(images, count) if count else images)


def _sample(images: Images, count: int) -> Images:
    """At most `count` of `images`, always the same ones, in their order."""
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    return images.subset(np.sort(chosen))


def _with_distinct_names(subjects: Sequence[Subject]) -> list[Subject]:
    """Short names for figures: parts that all share are dropped, and equal names are numbered."""
    names = distinct_parts([subject.name for subject in subjects])
    return [
        replace(s, name=f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name)
        for i, (s, name) in enumerate(zip(subjects, names, strict=True))
    ]


def _prepare_folder(out: Path, *, force: bool) -> Path:
    if (out / "analysis.html").exists() and not force:
        raise FileExistsError(f"{out} holds an analysis already: give --force to replace it, or another -o")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _write(folder: Path, subjects: Sequence[Subject], results: Sequence[StudyResult]) -> None:
    """The page, the figures and the numbers."""
    sections = []
    for result in results:
        study = find_study(result.name)
        for number, figure in enumerate(result.figures, 1):
            suffix = f"-{number}" if len(result.figures) > 1 else ""
            write_all_formats(figure.svg, folder / f"{result.name}{suffix}.svg")
        parts: list[Part] = [Text((result.summary,))] if result.summary else []
        parts.append(Figures(result.figures))
        parts.append(Text((study.explain, *(f"Left out: {line}." for line in result.skipped))))
        sections.append(Section(study.title, tuple(parts)))
    numbers = {result.name: result.numbers for result in results}
    write_file(folder / "analysis.json", json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False))
    names, n = ", ".join(subject.name for subject in subjects), len(subjects[0].labels)
    lead = f"{names}, on {quantity(n, 'image')} not used for training." if n else f"{names}, without images."
    title = f"Inside {' and '.join(dict.fromkeys(subject.arch.name for subject in subjects))}"
    footer = f"Written by residua {__version__}. The studies worked on copies; the networks are unchanged."
    write_file(folder / "analysis.html", render(Page(title, lead, tuple(sections), footer)))
