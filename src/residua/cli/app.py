"""All commands, assembled; importing it loads neither torch nor anything else that is slow."""

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
    models,
    predict,
    reproduce,
    train,
)
from residua.version import __version__

app = typer.Typer(
    name="residua",
    help="Residual networks: build, train, evaluate, explain and reproduce them.",
    epilog="Start with: residua demo    Errors in full: add --debug",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help loads no rich: a quarter of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


app.command("demo")(demo.demo)
app.command("models")(models.models)
app.command("explain")(explain.explain)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("resume")(train.resume)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("analyse")(analyse.analyse)
app.command("convert")(convert.convert)
app.command("reproduce")(reproduce.reproduce)
app.command("doctor")(doctor.doctor)
