"""Studies of networks: which images, which studies, and the page that shows them."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from residua import tasks
from residua.analyse.copies import settled
from residua.analyse.study import Patient, Study, without_shared
from residua.data.batches import evaluation_batches
from residua.data.images import Images
from residua.data.sources.table import absolute, open_dataset
from residua.data.transforms import normalise
from residua.jobs.studies import STUDIES
from residua.jobs.study_texts import READINGS
from residua.nn.network import Network, build
from residua.predict.classifier import load_network
from residua.report.page import Figure, Figures, Page, Part, Section, Text, render
from residua.runs.run import write
from residua.spec import zoo
from residua.spec.record import nearest
from residua.tasks.classify.task import Classify
from residua.version import __version__

IMAGES = 256
"""Images a study looks at, at most, unless told."""
NEEDS_NO_IMAGES = ("activations", "field")
"""What can be said of a network by name, without data."""


def analyse(
    trained: Sequence[str | Path],
    *,
    what: Sequence[str] = (),
    data: str | Path | None = None,
    out: str | Path | None = None,
    images: int = IMAGES,
    force: bool = False,
    listen: Callable[[str], None] = lambda _: None,
) -> list[Study]:
    """Study each of `trained`, runs, checkpoint files or names of networks, side by side.

    `what` names studies; none means all that fit. `out` gets a page, an SVG per figure and the numbers as
    JSON. A network by name has fresh weights, and norms that have seen the images. ValueError for an unknown
    study, or for one that no network allows; `listen` hears what is done and what is left out.
    """
    for name in what:
        if name not in STUDIES:
            raise ValueError(f"no study {name!r}: {nearest(name, STUDIES)}")
    if images < 2:
        raise ValueError(f"{images} images: give at least 2")
    folder = _free(Path(out), force=force) if out else None
    patients = [_patient(str(one), None if data is None else str(data), images) for one in trained]
    wanted = tuple(what) or tuple(n for n in STUDIES if patients[0].images or n in NEEDS_NO_IMAGES)
    patients = _named_apart(patients)
    studies = [study for name in wanted if (study := _study(name, patients, bool(what), listen))]
    if folder:
        _write(folder, patients, studies)
    return studies


def _study(
    name: str, patients: Sequence[Patient], asked: bool, listen: Callable[[str], None]
) -> Study | None:
    """The study, or None, said, where no network allows what nobody asked for by name."""
    if name not in NEEDS_NO_IMAGES and not all(patient.images for patient in patients):
        raise ValueError(f"{name} needs images: give --data")
    begun = time.monotonic()
    try:
        found = STUDIES[name](patients)
    except ValueError as error:
        if asked:
            raise
        listen(f"{name:12} left out: {error}")
        return None
    for line in found.skipped:
        listen(f"{name:12} left out: {line}")
    listen(f"{name:12} {time.monotonic() - begun:.1f} s  {found.finding}")
    return replace(found, name=name)


def _patient(trained: str, data: str | None, count: int) -> Patient:
    if not Path(trained).exists() and Path(trained).name == trained and not Path(trained).suffix:
        return _fresh(trained, data, count)
    network = load_network(Path(trained))
    if network.arch.clip:
        raise ValueError(f"{trained} reads clips: analyse looks into networks that read images")
    images = None
    if data is not None or (Path(trained) / "recipe.json").is_file():
        kind = tasks.of_trained([Path(trained)])
        images = _some(kind.examples(Path(trained), data, network.class_names), count)
    return _with_images(Path(trained).stem or trained, network, images)


def _fresh(name: str, data: str | None, count: int) -> Patient:
    """The network of that name with weights of seed 0, shaped for `data` when there is any."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if data is None:
            return _with_images(name, build(zoo.arch(name)).eval(), None)
        dataset = open_dataset(absolute(data), holdout=0.2)
        network = build(Classify().suited(zoo.arch(name), dataset))
    network.class_names = dataset.test.classes
    patient = _with_images(name, network.eval(), _some(dataset.test, count))
    return replace(patient, network=settled(network, patient.inputs))


def _with_images(name: str, network: Network, images: Images | None) -> Patient:
    if images is None:
        return Patient(name, network, None, torch.empty(0), torch.empty(0, dtype=torch.int64))
    batches = evaluation_batches(images, network.preprocess, batch=len(images), workers=0, resident_bytes=0)
    batch = next(iter(batches))
    return Patient(name, network, images, normalise(batch.images, network.preprocess), batch.labels)


def _some(images: Images, count: int) -> Images:
    """At most `count` of `images`, chosen once and for all, in their order."""
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    return images.subset(np.sort(chosen))


def _named_apart(patients: Sequence[Patient]) -> list[Patient]:
    """Figures tell networks by short names: what all share is dropped, and equal ones get numbers."""
    names = without_shared([patient.name for patient in patients])
    return [
        replace(p, name=f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name)
        for i, (p, name) in enumerate(zip(patients, names, strict=True))
    ]


def _free(out: Path, *, force: bool) -> Path:
    if (out / "analysis.html").exists() and not force:
        raise FileExistsError(f"{out} holds an analysis already: give --force to replace it, or another -o")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _write(folder: Path, patients: Sequence[Patient], studies: Sequence[Study]) -> None:
    sections = []
    for study in studies:
        parts: list[Part] = [Text((study.finding,))] if study.finding else []
        for number, drawing in enumerate(study.drawings, 1):
            suffix = f"-{number}" if len(study.drawings) > 1 else ""
            write(folder / f"{study.name}{suffix}.svg", drawing.svg)
        parts.append(Figures(tuple(Figure(d.svg, d.caption, d.alternative) for d in study.drawings)))
        title, reading = READINGS[study.name]
        parts.append(Text((reading, *(f"Left out: {line}." for line in study.skipped))))
        sections.append(Section(title, tuple(parts)))
    numbers = {study.name: study.numbers for study in studies}
    write(folder / "analysis.json", json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False))
    names = ", ".join(patient.name for patient in patients)
    n = len(patients[0].labels)
    lead = f"{names}, on {n:,} images that were not learned from." if n else f"{names}, without images."
    footer = f"Written by residua {__version__}. The networks were copied, studied and left as they were."
    write(folder / "analysis.html", render(Page("What goes on inside", lead, tuple(sections), footer)))
