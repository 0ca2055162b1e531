"""What the page may start, as a table: kind -> a function from checked options to a command of residua.

An option is a text, a number or the name of a run in the folder: no path of the machine comes from the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.analyse.table import STUDIES
from residua.errors import ResiduaError
from residua.files import next_free
from residua.lab.released import downloaded_weights
from residua.lab.state import Lab
from residua.lab.word_check import TypedNetwork
from residua.reproduce.items import ITEMS
from residua.runs.run import RECIPE, open_run
from residua.serve.problems import Refusal
from residua.spec.record import to_json
from residua.spec.word_network import DEPTH, MAX_DEPTH

MAX_EPOCHS = 1000
"""Most epochs that the page starts."""
NETWORK_FILE = "network.json"
"""The network of a job, spelled out: a word has no name."""
MAX_SEED = 1 << 31
"""Above every seed that the page takes."""
REPRODUCE_BUDGETS = ("smoke",)
"""Budgets of reproductions that need no data but the digits of scikit-learn."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A command that may be started."""

    title: str
    """For people."""
    words: tuple[str, ...]
    """The command without `residua`; `{folder}` stands for the folder of the job."""
    run: str = ""
    """The run that it writes or reads."""
    page: str = ""
    """File in the folder of the job that is its result for people."""
    file: tuple[str, str] | None = None
    """Name and content of a file in the folder of the job that the command reads; None for none."""


def train_digits(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Train what was typed on the digits of scikit-learn, with the recipe of `residua demo`."""
    depth = whole_option(options, "depth", 1, MAX_DEPTH, DEPTH)
    shortcut = text_option(options, "shortcut") if options.get("shortcut") else ""
    try:
        arch = TypedNetwork(text_option(options, "text"), depth, shortcut).arch()
    except ResiduaError as error:
        raise _bad(str(error)) from None
    epochs = whole_option(options, "epochs", 1, MAX_EPOCHS, 0)
    out = next_free(lab.folder.path, f"digits-{_plain(arch.name)}")
    words = ["train", "-o", str(out), "-m", f"{{folder}}/{NETWORK_FILE}", "--recipe", "quick.digits"]
    words += ["--seed", str(_seed(options)), "--from-scratch"]
    words += ["--epochs", str(epochs)] if epochs else []
    title, file = f"Train {arch.name} on digits", (NETWORK_FILE, to_json(arch))
    return JobPlan(title, (*words, "--", "digits"), run=out.name, file=file)


def analyse(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Study one or two networks of the folder."""
    names = [
        text_option(options, "name"),
        *([text_option(options, "beside")] if options.get("beside") else []),
    ]
    images, study = str(options.get("images") or ""), text_option(options, "study")
    try:
        if study not in STUDIES:
            raise _bad(f"no study {study!r}: give one of {', '.join(STUDIES)}")
        released = lab.networks.call(downloaded_weights)
        paths = [name if name in released else str(lab.contents.path(name)) for name in names]
        data = ("--data", lab.contents.source(images)) if images else ()
    except ResiduaError as error:
        raise _bad(str(error)) from None
    words = ("analyse", "-o", "{folder}/analysis", "--what", study, *data, "--", *paths)
    return JobPlan(
        f"Study {study}: {' and '.join(names)}", words, run=names[0], page="analysis/analysis.html"
    )


def check_data(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Check the images of a run, or others that the view "Look inside" lists."""
    images = text_option(options, "images")
    try:
        source = lab.contents.source(images)
    except ResiduaError as error:
        raise _bad(str(error)) from None
    return JobPlan(
        f"Check {images}",
        ("data", "check", "--report", "{folder}/check.html", "--", source),
        page="check.html",
    )


def repeat(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Train with the recipe of a run again, with another seed."""
    name = text_option(options, "run")
    path = lab.run_path(name)
    try:
        source = open_run(path).recipe.data.source
    except (ResiduaError, OSError) as error:
        raise _bad(str(error)) from None
    seed = _seed(options)
    out = next_free(path.parent, f"{path.name}-seed{seed}")
    words = ("train", "-o", str(out), "--recipe", str(path / RECIPE), "--seed", str(seed), "--", source)
    return JobPlan(f"Train as {name}, seed {seed}", words, run=out.relative_to(lab.folder.path).as_posix())


def resume(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Continue a run that was stopped."""
    name = text_option(options, "run")
    return JobPlan(f"Resume {name}", ("resume", str(lab.run_path(name))), run=name)


def reproduce(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Reproduce a table or figure of a paper on digits."""
    item, budget = text_option(options, "item"), text_option(options, "budget")
    if item not in ITEMS or budget not in REPRODUCE_BUDGETS:
        raise _bad(f"there is no such table or figure, or budget: give {' or '.join(REPRODUCE_BUDGETS)}")
    words = ("reproduce", item, "--budget", budget, "-o", str(reproduce_folder(lab)))
    return JobPlan(f"Reproduce {item}, {budget}", words)


def reproduce_folder(lab: Lab) -> Path:
    """Where the page writes reproductions."""
    return lab.folder.path / "reproduce"


def clean(lab: Lab, options: Mapping[str, Any]) -> JobPlan:
    """Clean such images by cross-validation, into a new folder whose table the view "Data" edits."""
    images = text_option(options, "images")
    try:
        source = lab.contents.source(images)
    except ResiduaError as error:
        raise _bad(str(error)) from None
    out = next_free(lab.folder.path, f"clean-{_plain(images)}")
    return JobPlan(f"Clean {images}", ("data", "clean", "-o", str(out), "--", source))


JobKind = Callable[[Lab, Mapping[str, Any]], JobPlan]
KINDS: Mapping[str, JobKind] = {
    "train_digits": train_digits,
    "repeat": repeat,
    "resume": resume,
    "reproduce": reproduce,
    "analyse": analyse,
    "check_data": check_data,
    "clean": clean,
}
"""Kind -> its function."""


def text_option(options: Mapping[str, Any], name: str) -> str:
    """A text among the options.

    Raises:
        Refusal: It is missing, or no text of at most 500 characters.
    """
    text = options.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= 500:
        raise _bad(f"{name} is missing: give a text of at most 500 characters")
    return text


def whole_option(options: Mapping[str, Any], name: str, low: int, high: int, default: int) -> int:
    """A whole number among the options.

    Raises:
        Refusal: It is no whole number between `low` and `high`.
    """
    number = options.get(name, default)
    if type(number) is not int or not (low <= number <= high or number == default):
        raise _bad(f"{name} cannot be used: give a whole number from {low} to {high}")
    return number


def _seed(options: Mapping[str, Any]) -> int:
    return whole_option(options, "seed", 0, MAX_SEED - 1, 0)


def _plain(name: str) -> str:
    """A name of a network as a name of a folder."""
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in name)[:60]


def _bad(text: str) -> Refusal:
    return Refusal(400, text, reason="bad request")
