"""The lines of a plan: what is known before anything is measured, and what was measured."""

from collections.abc import Iterable

from residua import tasks
from residua.data.dataset import Dataset
from residua.predict.run_summary import network_name
from residua.recipes.sentences import OPTIMIZERS
from residua.spec.describe import cost
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import OLD_NAMES, Recipe
from residua.training.learn_task import AnyLearnTask
from residua.training.optim import FUSED
from residua.training.plan import PlanChoice
from residua.training.schedule import run_length

HIGH_ADAMW_LR = 0.01
"""A learning rate of AdamW above ten times torch's default."""


def network_facts(recipe: Recipe) -> list[tuple[str, str]]:
    """What is known before anything is measured: the names and texts of lines."""
    arch, optim = recipe.arch, recipe.optim
    costs, size, colour = cost(arch), arch.preprocess.size, arch.preprocess.colour
    millions = f"{costs.params / 1e6:.2f} M parameters, {costs.macs / 1e6:.1f} M multiply-adds"
    how = f"{OPTIMIZERS[optim.kind]} with learning rate {optim.lr:g}, {recipe.schedule.shape}"
    how = f"{how}, batch size {recipe.budget.batch_size}"
    if recipe.probe == "only":
        how = "the last layer is fitted to the features of the frozen network, all others stay"
    return [
        ("model", f"{network_name(recipe)}: {millions}"),
        ("input", f"{size} x {size} {colour}, {arch.classes} classes{_mean_image_note(arch.preprocess)}"),
        ("recipe", f"{recipe.name}: {how}"),
    ]


def plan_facts(
    recipe: Recipe, task: AnyLearnTask, dataset: Dataset, chosen: PlanChoice, duration: str
) -> list[tuple[str, str]]:
    """What is known once the plan is measured: the names and texts of lines."""
    where = ("plan", f"{recipe.plan.precision}, {recipe.plan.memory_format}; {chosen.reason}")
    images = task.describe_input(recipe, dataset)
    of_input = (f"{tasks.data_task_of(recipe.data.source).media_type.noun}s", images)
    hint = ("hint", task.hint(recipe, dataset))
    if recipe.probe == "only":
        return [("length", f"no step: the probe alone; seed {recipe.seed}"), where, of_input, hint]
    steps_per_epoch, steps = run_length(recipe, len(dataset.train))
    length = "; ".join(filter(None, (f"{steps:,} steps, {steps_per_epoch:,} per epoch", duration)))
    return [
        ("length", f"{length}; seed {recipe.seed}"),
        where,
        ("compile", chosen.compile_reason),
        ("update", _optimizer_note(recipe)),
        of_input,
        hint,
    ]


def old_names(paths: Iterable[str]) -> list[tuple[str, str]]:
    """A line for each setting that the user called by its old name."""
    return [("setting", f"{path} is now called {OLD_NAMES[path]}") for path in paths if path in OLD_NAMES]


def _mean_image_note(preprocess: Preprocess) -> str:
    side = preprocess.mean_side
    return f", less the training images' mean of {side} x {side}" if side else ""


def _optimizer_note(recipe: Recipe) -> str:
    """Whether the update is one fused kernel, and why; or that the learning rate suits another optimizer."""
    kind, fused, lr = recipe.optim.kind, recipe.plan.fused, recipe.optim.lr
    if kind == "adamw" and lr > HIGH_ADAMW_LR:
        return f"{kind}; a learning rate of {lr:g} is high for it: --lr 0.001 is usual"
    if kind not in FUSED:
        return f"{kind}, tensor by tensor: it has no fused kernel"
    return f"{kind}, {'tensor by tensor, as asked' if fused == 'off' else 'fused: one pass over memory'}"
