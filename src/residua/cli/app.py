"""All commands, assembled; importing it loads neither torch nor anything else that is slow."""

from collections.abc import Callable, Mapping

import typer

from residua.cli import (
    analyse,
    compare,
    convert,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    lab,
    models,
    predict,
    recipes,
    reproduce,
    serve,
    train,
    weights,
)
from residua.cli.commands import HELP_WIDTH, CommandGroups, register
from residua.cli.network_options import changes_help
from residua.version import __version__

app = typer.Typer(
    name="residua",
    cls=CommandGroups,
    help="Residual networks: build, train, evaluate, explain and reproduce them.",
    epilog="Start with: residua demo    Errors in full: add --debug",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help loads no rich: a quarter of the time
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
)

COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Start": {"demo": demo.demo, "doctor": doctor.doctor},
    "Networks": {"models": models.models, "explain": explain.explain, "convert": convert.convert},
    "Train": {"recipes": recipes.recipes, "train": train.train, "resume": train.resume},
    "Judge": {"evaluate": evaluate.evaluate, "compare": compare.compare, "predict": predict.predict},
    "Explain": {"analyse": analyse.analyse, "reproduce": reproduce.reproduce, "lab": lab.lab},
    "Ship": {"export": export.export, "serve": serve.serve},
}
"""Title in the help -> name -> function; `data` and `weights` are groups of commands of their own."""
EPILOGS: Mapping[str, str] = {"explain": changes_help()}
"""Name -> what the help of that command ends with."""


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Residual networks: build, train, evaluate, explain and reproduce them."""
    if version:
        print(f"residua {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


for _title, _commands in COMMANDS.items():
    for _name, _function in _commands.items():
        register(app, _name, _function, rich_help_panel=_title, epilog=EPILOGS.get(_name))
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.add_typer(weights.app, name="weights", rich_help_panel="Networks")
