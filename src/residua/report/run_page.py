"""Parts of the report of every run, whatever its task: error curves, the network, training settings."""

from collections.abc import Sequence
from pathlib import Path

from residua.data.sources.table import parse_source
from residua.measure.views import CLIP, VIEW_TEXTS
from residua.predict.run_summary import first_weights_text
from residua.report.page import Code, Figure, Folded, Part, Table, Text
from residua.report.training_curves import Curve, Panel, training_curves
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.describe import cost, table
from residua.spec.recipe import Recipe
from residua.spec.record import to_plain


def network_and_data(run: Run) -> str:
    """`resnet18 on photos`: what a run trained, for the title of its pages, whatever its folder is called."""
    source = parse_source(run.recipe.data.source)
    return f"{run.recipe.arch.name} on {source.label or source}"


def evaluation_title(network: str) -> str:
    """`Evaluation of resnet18 on photos` for the path of a run; a file keeps its name."""
    return f"Evaluation of {_named(network)}"


def comparison_title(networks: Sequence[str]) -> str:
    """`resnet18 on photos and resnet34 on photos compared`; runs that are alike also by their folders."""
    named = [_named(network) for network in networks]
    if len(set(named)) == len(named):
        return f"{' and '.join(named)} compared"
    folders = " and ".join(Path(network).name for network in networks)
    return f"{named[0]}: {folders} compared" if len(set(named)) == 1 else f"{folders} compared"


def _named(network: str) -> str:
    run = Run(Path(network))
    return network_and_data(run) if (run.path / "recipe.json").is_file() else run.path.name


def error_curve(run: Run, name: str) -> Curve:
    """Training and test error of a run by epoch, in percent; or that of training images it held out."""
    rows = run.epochs("epoch", "train_error", "test_error")
    return Curve(
        name,
        tuple(float(row["epoch"]) for row in rows),
        tuple(row["train_error"] for row in rows),
        tuple(row["test_error"] for row in rows),
        evaluated=_evaluated(run),
    )


def _evaluated(run: Run) -> str:
    return "held out" if run.recipe.data.inner_val_fraction else "test"


def error_figure(run: Run) -> Figure:
    """The curves of a run as a figure in the style of He et al. 2015, fig. 6."""
    name, last = run.recipe.arch.name, run.epochs("train_error", "test_error")[-1]
    noun, view = ("clips", CLIP) if run.recipe.arch.clip else ("images", "center")
    evaluated = f"held-out training {noun}" if run.recipe.data.inner_val_fraction else f"test {noun}"
    return Figure(
        training_curves((Panel(name, (error_curve(run, name),)),)),
        f"Error by epoch. Thin: training {noun} as augmented; bold: {evaluated}, {VIEW_TEXTS[view]}.",
        f"Error curves: training ends at {last['train_error']:.2f} %, "
        f"{_evaluated(run)} at {last['test_error']:.2f} %.",
    )


def architecture_table(arch: Arch) -> Table:
    """The architecture table of a network, as in He et al. 2015, table 1."""
    rows = tuple(
        (row.part, f"{row.size}×{row.size}", row.layers, row.words, f"{row.macs / 1e6:,.1f} M")
        for row in table(arch)
    )
    costs = cost(arch)
    caption = (
        f"{arch.name} ({arch.source}): {arch.depth()} layers, {costs.params:,} parameters, "
        f"{costs.macs / 1e6:,.1f} M multiply-adds."
    )
    return Table(("part", "output", "layers", "word", "multiply-adds"), rows, caption, numeric=(4,))


def training_section(run: Run, sentences: tuple[str, ...]) -> tuple[Part, ...]:
    """How a run was trained.

    Args:
        run: The run.
        sentences: Its recipe in sentences.

    Returns:
        The recipe and the machine as text, the command that trains it again, and all settings, folded.
    """
    environment = run.environment
    began = first_weights_text(run, run.recipe)
    return (
        Text(
            (
                " ".join(sentences),
                *((began,) if began else ()),
                f"{environment.hardware}; {environment.software}.",
            )
        ),
        Code(f"residua train DATA --recipe {run.path.name}/recipe.json", "Train it again:"),
        Folded("Every setting of the recipe", (Table(("setting", "value"), _settings(run.recipe)),)),
    )


def _settings(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """Every field of `recipe` but the network's, by the path that `--set` takes."""
    rows: list[tuple[str, str]] = []
    for name, value in to_plain(recipe).items():
        if isinstance(value, dict) and name != "arch":
            rows += [(f"{name}.{inner}", str(setting)) for inner, setting in value.items()]
        elif name != "arch":
            rows.append((name, str(value)))
    return tuple(rows)
