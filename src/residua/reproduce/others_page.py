"""Rows, claims and figures of an item from weights that others trained, for its page and for the docs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from residua.analyse.gradients import Gradients
from residua.analyse.lesion import Lesions
from residua.analyse.paths import Paths
from residua.analyse.responses import Responses
from residua.analyse.study import Study
from residua.analyse.table import find_study
from residua.measure.score import wilson
from residua.report.bars import ReferenceBar, reference_bars
from residua.report.page import Code, Figure, Figures, Page, Part, Section, Table, Text
from residua.report.standalone import on_paper
from residua.report.training_curves import Curve, Panel, readme_figure, training_curves
from residua.reproduce.claims import ClaimResult, MeasuredValues, check_claim
from residua.reproduce.items import TRAINING_IMAGES
from residua.reproduce.others import LABEL, SOURCE, STUDIES, STUDY_IMAGES, TEST_IMAGES, MeasuredNetwork
from residua.reproduce.published import Item, PaperClaim, PublishedRow
from residua.version import __version__

HEAD = ("network", "trained by", "paper", "here", "wrong", "95 % interval", "published", "training error")
"""Columns of the table."""
HIGHEST = 30.0
"""Largest error in the drawing of curves, in percent: what matters is below; the paper cuts at 20."""
RESULTS: Mapping[str, type[Any]] = {
    "gradients": Gradients, "lesion": Lesions, "paths": Paths, "responses": Responses,
}  # fmt: skip
"""Study -> what it measures."""


@dataclass(frozen=True, slots=True)
class OthersReproduction:
    """An item whose networks others trained, with what was measured here."""

    item: Item
    """The table or figure."""
    rows: tuple[tuple[PublishedRow, MeasuredNetwork], ...]
    """Each row of the paper with each network that others trained for it, in the paper's order."""
    missing: tuple[str, ...] = ()
    """Names in the catalogue whose files were not found."""
    data: str = ""
    """One line about the images."""
    report: Path = Path()
    """The HTML page."""
    seconds: float = 0.0
    """From the start to the report; networks that were measured before cost nothing."""

    def plain(self) -> dict[str, Any]:
        """For JSON; missing numbers are null."""
        return {
            "item": self.item.name,
            "from": SOURCE,
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "rows": [_plain_row(row, network) for row, network in self.rows],
            "missing": list(self.missing),
            "report": str(self.report),
        }


def _plain_row(row: PublishedRow, network: MeasuredNetwork) -> dict[str, Any]:
    value = _value(row, network)
    return {
        "what": row.label,
        "network": row.network.name,
        "weights": network.name,
        "sha256": network.sha256,
        "measure": row.measure,
        "paper": row.paper,
        "paper_text": row.paper_text,
        "ours": round(value, 4),
        "wrong": network.wrong,
        "n": network.images,
        "difference": None if row.paper is None else round(value - row.paper, 4),
        "train_error": network.train_error,
        "label": LABEL,
    }


def _value(row: PublishedRow, network: MeasuredNetwork) -> float:
    """The value of a row in its measure: the mean deviation of the responses, or the test error."""
    if row.measure != "response":
        return network.error
    deviations = (network.studies or {})["responses"]["deviations"]
    return float(sum(deviations) / len(deviations))


def table_rows(reproduction: OthersReproduction) -> list[tuple[str, ...]]:
    """The cells under `HEAD`."""
    return [_cells(row, network) for row, network in reproduction.rows]


def _cells(row: PublishedRow, network: MeasuredNetwork) -> tuple[str, ...]:
    train = "" if network.train_error is None else f"{network.train_error:.2f}"
    start, here = (row.label, network.owner, row.paper_text), f"{_value(row, network):.2f}"
    if row.measure == "response":
        return *start, here, "", "", "", train
    low, high = _interval(network)
    claim = "" if network.entry.top1 is None else f"{100 - network.entry.top1:.2f}"
    return *start, here, f"{network.wrong:,}", f"{low:.2f} to {high:.2f}", claim, train


def _interval(network: MeasuredNetwork) -> tuple[float, float]:
    """95 % interval of the test error, in percent."""
    low, high = wilson(network.wrong, network.images)
    return low, high


def checked_claims(reproduction: OthersReproduction) -> list[ClaimResult]:
    """For each conclusion of the paper and each owner of networks of it: do their weights show it?"""
    owners = dict.fromkeys(network.owner for _, network in reproduction.rows)
    results = (
        check_claim(claim, _values(reproduction, owner, claim), where=f"with the weights of {owner}")
        for claim in reproduction.item.claims
        for owner in owners
    )
    return [result for result in results if result]


def claim_results(reproduction: OthersReproduction) -> list[str]:
    """The sentence of each result."""
    return [result.sentence for result in checked_claims(reproduction)]


def _values(reproduction: OthersReproduction, owner: str, claim: PaperClaim) -> dict[str, MeasuredValues]:
    """Label -> values of the networks of one owner; training errors are those of their curves."""
    values = {}
    for row, network in reproduction.rows:
        by_training = claim.measure == "train_error"
        value = network.train_error if by_training else _value(row, network)
        if network.owner != owner or value is None:
            continue
        images = 0 if row.measure == "response" else network.images
        images = TRAINING_IMAGES[row.data] if by_training else images
        values[row.label] = MeasuredValues(row.label, (value,), images)
    return values


def study_sentences(reproduction: OthersReproduction) -> list[str]:
    """What each study of the item found, in a sentence with numbers."""
    return [study.summarise(results) for study, results, _ in _studies(reproduction)]


def missing_note(reproduction: OthersReproduction) -> str:
    """Which weights were not found, and how to get them; empty for none."""
    if not reproduction.missing:
        return ""
    names = " ".join(reproduction.missing)
    return f"Left out, because their files were not found: `residua weights get {names}` gets them."


def sources_note(reproduction: OthersReproduction) -> str:
    """Who trained the networks, under which licence, and what was done here."""
    entries = {network.owner: network.entry for _, network in reproduction.rows}
    owners = "; ".join(f"{owner}: {entry.source}, {entry.licence}" for owner, entry in entries.items())
    count = max(network.images for _, network in reproduction.rows)
    return (
        f"These networks were trained by others ({owners}). Their errors were measured here on {count:,} "
        "test images of CIFAR-10, once each, with the mean and the deviation that each owner trained with. "
        f"Studies use {STUDY_IMAGES} of them. Training errors and curves are those that an owner recorded; "
        "nothing was trained here, and how far their recipes differ from the paper's was not checked."
    )


def command(reproduction: OthersReproduction) -> str:
    """The command that repeats it."""
    counts_all = any(network.images > TEST_IMAGES for _, network in reproduction.rows)
    options = f"--from {SOURCE} --data cifar10{' --all' if counts_all else ''}"
    return f"residua reproduce {reproduction.item.name} {options}"


def _main_owner(reproduction: OthersReproduction) -> str:
    """The owner of most rows: figures show the networks of one, trained alike."""
    owners = [network.owner for _, network in reproduction.rows]
    return max(dict.fromkeys(owners), key=owners.count)


def curve_panels(reproduction: OthersReproduction) -> tuple[Panel, ...]:
    """The curves that an owner recorded, grouped as in the paper, with the paper's final errors."""
    panels: dict[str, list[Curve]] = {}
    for row, network in reproduction.rows:
        if network.curve:
            times, train, test = zip(*network.curve, strict=True)
            paper = math.nan if row.paper is None else row.paper
            curve = Curve(row.label, times, train, test, paper)
            panels.setdefault(row.panel or "Training on CIFAR-10", []).append(curve)
    return tuple(Panel(title, tuple(curves)) for title, curves in panels.items())


def _studies(
    reproduction: OthersReproduction,
) -> Iterator[tuple[Study[Any], dict[str, Any], tuple[Figure, ...]]]:
    """Each study of the item, its results by row of the main owner, and its figures."""
    owner = _main_owner(reproduction)
    for name in STUDIES[reproduction.item.name]:
        results = {
            row.label: RESULTS[name](**{key: _restored(value) for key, value in measured.items()})
            for row, network in reproduction.rows
            if network.owner == owner and (measured := (network.studies or {}).get(name))
        }
        if results:
            study = find_study(name)
            yield study, results, study.draw(results, {label: place for place, label in enumerate(results)})


def _restored(value: Any) -> Any:
    """JSON values as a study measured them: tuples, and nan for null."""
    if isinstance(value, list):
        return tuple(map(_restored, value))
    return math.nan if value is None else value


def figures(reproduction: OthersReproduction, *, for_docs: bool = False) -> list[Figure]:
    """The figures of the item, curves or bars first, then those of its studies.

    Args:
        reproduction: The item.
        for_docs: Whether each stands alone, on white paper, instead of on a page.
    """
    drawings = list(_main_figure(reproduction, for_docs=for_docs))
    for _, _, more in _studies(reproduction):
        drawings += [_on_paper(figure) for figure in more] if for_docs else more
    return drawings


def _main_figure(reproduction: OthersReproduction, *, for_docs: bool) -> Iterator[Figure]:
    """The curves of the item where an owner recorded them, or its bars; nothing for layer responses."""
    item, panels = reproduction.item, curve_panels(reproduction)
    if item.figure == "bars":
        yield _on_paper(_bars(reproduction)) if for_docs else _bars(reproduction)
    if item.figure != "curves" or not panels:
        return
    headline = f"{item.source}, with networks that others trained"
    draw = partial(readme_figure, headline=headline) if for_docs else training_curves
    svg = draw(panels, highest=HIGHEST)
    owners = " and ".join(dict.fromkeys(network.owner for _, network in reproduction.rows if network.curve))
    has_paper = any(row.paper is not None for row, network in reproduction.rows if network.curve)
    rings = " Rings: final test errors in the paper." if has_paper else ""
    ends = "; ".join(f"{row.label} {network.error:.2f} %" for row, network in reproduction.rows)
    epochs = max(len(network.curve) for _, network in reproduction.rows)
    caption = (
        f"Curves of {epochs} epochs, recorded by {owners}. Thin: training error; bold: test error.{rings} "
        f"Errors above {HIGHEST:.0f} % are cut off."
    )
    yield Figure(svg, caption, ends)


def _bars(reproduction: OthersReproduction) -> Figure:
    bars = tuple(
        ReferenceBar(
            f"{row.label}, {network.owner}",
            network.error,
            math.nan,
            math.nan if row.paper is None else row.paper,
        )
        for row, network in reproduction.rows
    )
    text = "; ".join(f"{bar.label}: {bar.value:.2f} %" for bar in bars)
    caption = "Bars: test errors measured here, of networks that others trained. Grey diamonds: the paper's."
    return Figure(reference_bars(bars, unit="error (%)"), caption, text)


def _on_paper(figure: Figure) -> Figure:
    """A drawing that stands alone."""
    return replace(figure, svg=on_paper(figure.svg))


def page(reproduction: OthersReproduction) -> Page:
    """The page of the item."""
    item = reproduction.item
    parts: list[Part] = [*_main_figure(reproduction, for_docs=False)]
    label = f"{LABEL[0].upper()}{LABEL[1:]}"
    caption = f"{label}: error in percent of {reproduction.data}; the training error is its owner's."
    parts.append(Table(HEAD, tuple(table_rows(reproduction)), caption, numeric=(3, 4, 6, 7)))
    if note := missing_note(reproduction):
        parts.append(Text((note,)))
    sections = [Section("Results", tuple(parts))]
    conclusions = tuple(filter(None, (item.conclusion, *claim_results(reproduction))))
    sections.append(Section("What the paper concludes", (Text(conclusions),)))
    for study, results, drawings in _studies(reproduction):
        text = Text((study.summarise(results), study.explain))
        sections.append(Section(study.title, (Figures(drawings), text)))
    origin = Text((sources_note(reproduction), f"Images: {reproduction.data}."))
    sections.append(Section("How it was made", (origin, Code(command(reproduction), "Repeat it:"))))
    title = item.title[0].upper() + item.title[1:]
    lead = f"{item.source}, from {LABEL}."
    return Page(title, lead, tuple(sections), f"{item.name}, written by residua {__version__}.")
