"""The page of the ladder: the figure for the wall, the table of all steps, and how each was made."""

from residua.recipes.sentences import sentences
from residua.report.ladder_chart import LadderRow, ladder_chart
from residua.report.page import Code, Figure, Folded, Page, Section, Table, Text
from residua.reproduce.ladder import DATA, FLIPPED_SHARE, NAME, TITLE
from residua.reproduce.ladder_steps import LadderReproduction, MeasuredStep
from residua.spec.describe import cost
from residua.version import __version__

HEAD = ("step", "what changed", "right (%)", "95 % interval", "difference", "p", "minutes")
"""Columns of the table."""
NUMERIC = (2, 3, 4, 5, 6)
"""Those that hold numbers."""
GOAL = 95.0
"""Accuracy at the top of the ladder, in percent."""
SMALLEST_P = 1e-3
"""p that is printed as a number."""


def table_rows(ladder: LadderReproduction) -> list[tuple[str, ...]]:
    """The cells under `HEAD`, from the bottom to the top."""
    return [_cells(step) for step in ladder.steps]


def _cells(one: MeasuredStep) -> tuple[str, ...]:
    low, high = one.interval
    difference, p = (_signed(one.comparison.difference.value), _p_text(one.p)) if one.comparison else ("", "")
    interval = f"{low:.2f} to {high:.2f}"
    return (
        one.step.name,
        one.step.label,
        f"{one.accuracy:.2f}",
        interval,
        difference,
        p,
        f"{one.minutes:.1f}",
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _p_text(p: float) -> str:
    return f"{p:.3f}" if p >= SMALLEST_P else f"< {SMALLEST_P:g}"


def ladder_figure(ladder: LadderReproduction) -> Figure:
    """The ladder as a chart; the goal is drawn where all images were used."""
    rows = []
    for one in ladder.steps:
        difference = (
            f"{_signed(one.comparison.difference.value)}, p {_p_text(one.p)}" if one.comparison else ""
        )
        label = f"{one.step.name} {one.step.label}"
        rows.append(LadderRow(one.step.name[0], label, one.accuracy, *one.interval, difference))
    goal = GOAL if ladder.budget == "full" else None
    svg = ladder_chart(rows, unit="test images that are right (%)", goal=goal)
    caption = (
        f"From the bottom to the top, one idea a step, one run of each network: {ladder.data}. Light bars: "
        "Wilson's 95 % interval. "
        "Below each value: the difference from the step below, and McNemar's p for it on the same test "
        "images, corrected for all steps (Holm). It covers the choice of images, not that of the seed."
    )
    text = "; ".join(f"{one.step.name} {one.step.label}: {one.accuracy:.2f} %" for one in ladder.steps)
    return Figure(svg, caption, text)


def result_sentences(ladder: LadderReproduction) -> tuple[str, ...]:
    """What the steps show, each judged by its paired test."""
    climbs = [one for one in ladder.steps if one.comparison and one.step.name != "4a"]
    helped, unclear, harmed = (
        [one for one in climbs if one.p < 0.05 and _gain(one) > 0],
        [one for one in climbs if one.p >= 0.05],
        [one for one in climbs if one.p < 0.05 and _gain(one) < 0],
    )
    texts = [f"Better than the step below (p below 0.05): {_named(helped)}."] if helped else []
    texts += [f"Cannot tell from this one run of each: {_named(unclear)}."] if unclear else []
    texts += [f"Worse than the step below: {_named(harmed)}."] if harmed else []
    top = ladder.steps[-1]
    reached = (
        "reached"
        if top.interval[0] > GOAL
        else "not reached"
        if top.interval[1] < GOAL
        else "within the interval"
    )
    if ladder.budget == "full":
        low, high = top.interval
        texts.append(f"The goal of {GOAL:g} % is {reached}: {top.accuracy:.2f} % ({low:.2f} to {high:.2f}).")
    return tuple(texts)


def _gain(one: MeasuredStep) -> float:
    return one.comparison.difference.value if one.comparison else 0.0


def _named(steps: list[MeasuredStep]) -> str:
    return ", ".join(f"{one.step.name} {one.step.label} ({_signed(_gain(one))})" for one in steps)


def cleaning_sentence(ladder: LadderReproduction) -> str:
    """What the cleaning of labels did, held against what was flipped; empty where it is not known."""
    if ladder.cleaning is None:
        return ""
    done = ladder.cleaning
    if not done.corrected + done.dropped:
        return (
            "Step 4b changed no label: the two networks that predict those of step 4a agree with less than "
            "half of them, and a network's own errors look like wrong labels."
        )
    return (
        f"Step 4a flips {FLIPPED_SHARE:.0%} of the labels of {done.images:,} images: {done.flipped:,}. Two "
        "networks, each trained on the other half of these images, predict them; confident learning rejects "
        f"labels. {done.corrected:,} labels were corrected, {done.corrected_right:,} of them rightly; "
        f"{done.dropped:,} images were dropped, {done.dropped_wrong:,} of them with a flipped label."
    ).replace("%", " %")


def machine_sentence(ladder: LadderReproduction) -> str:
    """The machine and the time of all runs."""
    runs = {one.run.path.name: one for one in ladder.steps}
    environment = ladder.steps[0].run.environment
    precision = ladder.steps[0].run.recipe.plan.precision
    minutes = sum(one.minutes for one in runs.values())
    return (
        f"{environment.hardware}, {environment.processor}; {environment.software}; {precision}. The runs of "
        f"the steps took {minutes:.0f} minutes of training in sum, by their recorded images per second; the "
        "two networks of the cleaning are not in it."
    )


def command(ladder: LadderReproduction) -> str:
    """The command that repeats it."""
    return f"residua reproduce {NAME} --budget {ladder.budget} --data {DATA}"


def page(ladder: LadderReproduction) -> Page:
    """The page of a finished ladder."""
    caption = "Minutes: training of the run that the step is tested on; steps with the same run share it."
    table = Table(HEAD, tuple(table_rows(ladder)), caption, numeric=NUMERIC)
    steps = Table(
        ("step", "what changed", "images", "parameters", "weights", "view"),
        tuple(
            (
                one.step.name,
                one.step.change,
                f"{int(one.run.identity['train']):,}",
                f"{cost(one.run.recipe.arch).params / 1e6:.2f} M",
                one.step.weights,
                one.step.view,
            )
            for one in ladder.steps
        ),
        numeric=(2, 3),
    )
    recipes = {one.run.path.name: one for one in ladder.steps}
    folded = Folded(
        "The recipe of every run",
        tuple(
            Text((f"{one.step.label}: {' '.join(sentences(one.run.recipe))}",)) for one in recipes.values()
        ),
    )
    cleaning = cleaning_sentence(ladder)
    sections = (
        Section("Results", (ladder_figure(ladder), Text(result_sentences(ladder)), table)),
        Section("The steps", (steps, *((Text((cleaning,)),) if cleaning else ()))),
        Section(
            "How it was made",
            (Text((machine_sentence(ladder),)), folded, Code(command(ladder), "Repeat it:")),
        ),
    )
    count = f"{len(ladder.steps)} steps, one idea each, n = 1"
    lead = f"An experiment of ours at the budget {ladder.budget}: {ladder.data}. {count}."
    title = f"{TITLE[0].upper()}{TITLE[1:]}"
    return Page(title, lead, sections, f"{NAME}, written by residua {__version__}.")
