"""The page about a reproduction: figure, table, claims, recipe in sentences, and how to repeat it."""

import json
import math

from residua.recipes.sentences import differs, sentences
from residua.report.page import Code, Page, Part, Section, Table, Text
from residua.reproduce.figure import SCALES, figure, ours
from residua.reproduce.published import DRAWN, Claim
from residua.reproduce.reproduce import Line, Reproduction
from residua.spec.describe import cost
from residua.spec.record import to_plain
from residua.version import __version__

HEAD = ("network", "paper", "here", "difference", "training error", "label")


def page(found: Reproduction) -> Page:
    """The page of a finished reproduction."""
    item, setting = found.item, found.setting
    shown = [line for line in found.lines if line.values]
    parts: list[Part] = [figure(found)] if shown else []
    parts += [_table(found)]
    parts += [Text((said,)) for said in (left_out(found), unfamiliar(found)) if said]
    sections = [Section("What came out", tuple(parts))]
    if claims := verdicts(found):
        sections.append(Section("What the paper says of it", (Text((item.says, *claims)),)))
    elif item.says:
        sections.append(Section("What the paper says of it", (Text((item.says,)),)))
    if shown:
        sections.append(Section("The networks", (_networks(shown),)))
    sections.append(Section("How it was made", _making(found)))
    labels = ", ".join(dict.fromkeys(line.label for line in shown)) or "nothing was trained"
    lead = f"{item.place}, at the budget {setting.budget}: {labels}. {found.data}."
    done = "drawn" if item.figure in ("blocks", "networks") else "counted"
    lead = lead if found.data else f"{item.place}: {done} from the networks, nothing was trained."
    return Page(
        item.what[0].upper() + item.what[1:],
        lead,
        tuple(sections),
        f"{item.name}, written by residua {__version__}.",
    )


def rows(found: Reproduction) -> list[tuple[str, ...]]:
    """The table, a line of cells for every row of the paper that the budget keeps, under `HEAD`."""
    return [_cells(line) for line in found.kept]


def left_out(found: Reproduction) -> str:
    """Says which rows the budget leaves out; empty if none."""
    said = "; ".join(found.left_out)
    return f"Left out at the budget {found.setting.budget}: {said}." if said else ""


def unfamiliar(found: Reproduction) -> str:
    """Says so where networks were tested on views that nothing in their training looked like."""
    still = [line for line in found.lines if line.runs and line.runs[0].recipe.augment.kind == "none"]
    views = dict.fromkeys(line.row.views for line in still if line.row.views != "center")
    return (
        f"Tested with {', '.join(views)}, but trained on images as they are, never shifted, mirrored or "
        "resized: the errors are high for that, and say that the protocol runs, no more."
        if views
        else ""
    )


def _cells(line: Line) -> tuple[str, ...]:
    trained = f"{sum(line.train) / len(line.train):.2f} %" if line.train else ""
    return line.row.label, line.row.printed, ours(line), _difference(line), trained, line.label


def _difference(line: Line) -> str:
    if not math.isfinite(line.difference):
        return ""
    scale = SCALES.get(line.row.measure, 1.0)
    return f"{line.difference / scale:+.2f}".replace("-", "\N{MINUS SIGN}")


def verdicts(found: Reproduction) -> tuple[str, ...]:
    """Each claim of the paper whose networks were trained, and whether it is seen in these numbers."""
    lines = {line.row.label: line for line in found.lines}
    told = [_verdict(claim, lines[claim.worse], lines[claim.better], found) for claim in found.item.claims]
    return tuple(verdict for verdict in told if verdict)


def _verdict(claim: Claim, worse: Line, better: Line, found: Reproduction) -> str:
    high, low = (line.train if claim.measure == "train_error" else line.values for line in (worse, better))
    if not high or not low:
        return ""
    more, less = sum(high) / len(high), sum(low) / len(low)
    what = {"response": "the stronger responses"}.get(worse.row.measure, "the higher error")
    what = "the higher training error" if claim.measure == "train_error" else what
    said = f"{claim.worse} has {what} than {claim.better}"
    numbers = f"{more:.2f} against {less:.2f}"
    if more > less:
        return f"Seen here: {said} ({numbers})."
    why = f"; the budget {found.setting.budget} may be too short" if found.setting.budget != "full" else ""
    return f"Not seen here: that {said} ({numbers}){why}."


def _table(found: Reproduction) -> Table:
    """The rows; a column that says the same everywhere becomes a part of the caption."""
    cells: list[tuple[str, ...]] = rows(found)
    told: list[str] = []
    keep = [place for place in range(len(HEAD)) if any(row[place] for row in cells)]
    labels = {row[-1] for row in cells if row[-1]}
    if len(labels) == 1:
        keep = [place for place in keep if HEAD[place] != "label"]
        told = [f"All rows: {labels.pop()}."] if found.data else []
    if all(line.row.printed == DRAWN for line in found.kept):
        keep = [place for place in keep if HEAD[place] != "paper"]
        told.append("The paper draws them and prints no number.")
    counts = {len(line.values) for line in found.lines if line.values and line.row.measure not in SCALES}
    if len(counts) == 1:
        count = counts.pop()
        cells = [tuple(cell.removesuffix(f" (n = {count})") for cell in row) for row in cells]
        told.append(f"Mean ± deviation over {count} seeds." if count > 1 else "One seed.")
    if any(line.row.measure.endswith("error") for line in found.lines):
        told.insert(0, "Errors in percent.")
    if (counted := found.item.rows[0].measure) in SCALES:
        told.insert(0, {"params": "Parameters.", "macs": "Multiply-adds."}[counted])
    if 3 in keep:
        told.append("Difference: here less the paper's.")
    told += _remarks(found)
    cells = [
        (row[0], row[1].removesuffix(f" ({line.row.said})"), *row[2:])
        for row, line in zip(cells, found.kept, strict=True)
    ]
    head, picked = tuple(HEAD[place] for place in keep), tuple(tuple(row[p] for p in keep) for row in cells)
    numeric = tuple(place for place, name in enumerate(head) if name in HEAD[2:5])
    return Table(head, picked, " ".join(told), numeric=numeric if not _has_notes(found) else numeric[1:])


def _remarks(found: Reproduction) -> list[str]:
    """What belongs to the paper's numbers; said once where it belongs to all."""
    said = {line.row.label: line.row.said for line in found.kept if line.row.paper is not None}
    if len(set(said.values())) == 1 and len(said) > 1:
        remark = next(iter(said.values()))
        return [f"All in the paper: {remark}."] if remark else []
    return [f"{label} in the paper: {remark}." for label, remark in said.items() if remark]


def _has_notes(found: Reproduction) -> bool:
    """Whether some rows say why they have no value, which would be a wide column if it never broke."""
    return any(line.note for line in found.kept)


def _networks(shown: list[Line]) -> Table:
    """What was trained, with its cost: equal cost is to be seen, not to be believed."""
    made = {line.net: (line.runs[0].recipe.arch if line.runs else line.row.net.arch()) for line in shown}
    cells = []
    for name, arch in made.items():
        size = cost(arch)
        cells.append((name, str(arch.depth()), f"{size.params / 1e6:.2f} M", f"{size.macs / 1e6:,.1f} M"))
    head = ("network", "layers", "parameters", "multiply-adds")
    caption = "As trained, at the size of these images." if shown[0].runs else ""
    return Table(head, tuple(cells), caption, numeric=(1, 2, 3))


def command(found: Reproduction) -> str:
    """What repeats it."""
    setting, seeds = found.setting, max([1, *(len(line.values) for line in found.lines)])
    words = [f"residua reproduce {found.item.name} --budget {setting.budget}"]
    if found.data and not (setting.kind == "digits" and setting.budget == "smoke"):
        words.append(
            f"--data {setting.kind if setting.kind in ('digits', 'cifar10', 'cifar100') else 'DATA'}"
        )
    return " ".join(words + ([f"--seeds {seeds}"] if seeds > 1 else []))


def _making(found: Reproduction) -> tuple[Part, ...]:
    repeat = Code(command(found), "Again:")
    runs = [run for line in found.lines for run in line.runs]
    if not runs:
        return (repeat,)
    recipe = runs[0].recipe
    told = json.loads((runs[0].path / "environment.json").read_text())
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    where = f"{told['machine']}, {told['cores']} cores"
    machine = f"{where}; residua {told['residua']}, Python {told['python']}, {versions}."
    parts: list[Part] = [Text((" ".join(sentences(recipe)),))]
    if own := differs(recipe):
        parts.append(Text((f"In the recipe's own words: {own}",)))
    if others := _others(found):
        parts.append(Text((others,)))
    if substitutes := stand_ins(found):
        parts.append(Text((substitutes,)))
    if departed := departed_from(found):
        parts.append(Text((departed,)))
    return (*parts, Text((machine,)), repeat)


def _others(found: Reproduction) -> str:
    """Says so where the recipes are not one."""
    first, *rest = [run.recipe for line in found.lines for run in line.runs]
    fields = [name for name in to_plain(first) if name not in ("arch", "seed", "data", "plan")]
    differ = {name for other in rest for name in fields if getattr(first, name) != getattr(other, name)}
    return (
        f"Not the same in all runs: {', '.join(sorted(differ))}; each run keeps its recipe." if differ else ""
    )


def departed_from(found: Reproduction) -> str:
    """What was done otherwise than in the paper on its own data, each thing once; empty for nothing."""
    each = dict.fromkeys(str(one) for line in found.lines for one in line.departures if one.what != "network")
    return f"Otherwise than in the paper: {'; '.join(each)}." if each else ""


def stand_ins(found: Reproduction) -> str:
    """Which networks were trained in place of the paper's, because the pictures are too small for those."""
    pairs = {
        line.row.net.name: line.net for line in found.lines if line.runs and line.net != line.row.net.name
    }
    if not pairs:
        return ""
    said = ", ".join(f"{mine} for {theirs}" for theirs, mine in pairs.items())
    return f"These pictures are too small for the paper's networks. Trained instead: {said}."
