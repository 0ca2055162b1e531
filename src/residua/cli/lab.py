"""`residua lab`."""

import ipaddress
from pathlib import Path

import typer

from residua.cli.options import FORCE, number
from residua.cli.terminal import aside, console, say
from residua.errors import ConfigError, MissingPackageError

HOST = typer.Option(
    "127.0.0.1", "--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 for every network."
)
PORT = number(8001, "--port", low=0, high=65535, help="Port to listen on; 0 takes a free one")
READ_ONLY = typer.Option(
    False, "--read-only", help="Refuse every action: nothing is started, stopped or written."
)
ALLOW_HOST = typer.Option(
    [], "--allow-host", metavar="NAME", help="Name by which browsers call the server; * allows every name."
)


EXPORT = typer.Option(None, "--export", metavar="FILE", help="Write the runs as one HTML file, and end.")


def lab(
    folders: list[Path] = typer.Argument(
        None, metavar="[DIR]", help="A folder of runs, or a run; default: runs."
    ),
    host: str = HOST,
    port: int = PORT,
    read_only: bool = READ_ONLY,
    allow_host: list[str] = ALLOW_HOST,
    export: Path | None = EXPORT,
    force: bool = FORCE,
) -> None:
    """Open a page over a folder of runs: curves, comparisons, networks, live and without a database.

    Beyond this machine (--host) the printed address carries a token, which every reader needs. With --export,
    each DIR is a run or a folder of runs, and the file needs neither server nor network.

    Example: residua lab runs

    Example: residua lab --export best.html runs/photos-1 runs/photos-2
    """
    folders = folders or [Path("runs")]
    if export:
        _export(export, folders, force=force)
        return
    if len(folders) > 1:
        raise ConfigError(f"{len(folders)} folders: give the one that holds them, or --export")
    try:
        from residua.lab import server
        from residua.lab.app import lab_app
        from residua.serve.limits import Limits
        from residua.serve.server import listen
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"the lab needs {error.name}: pip install 'residua[serve]'") from None

    to = console()
    limits = Limits(hosts=tuple(map(str.lower, allow_host)))
    app = lab_app(folders[0], limits=limits, is_token_needed=not _is_loopback(host), is_read_only=read_only)
    sock = listen(host, port)
    say(aside(to), f"folder    {app.state.lab.folder.path}{', read-only' if read_only else ''}")
    server.run(app, sock, log=lambda line: say(to, line))


def _export(file: Path, folders: list[Path], *, force: bool) -> None:
    """Write runs as one HTML file."""
    from residua.files import check_output_path, write_file
    from residua.lab.export import export_page, runs_below
    from residua.lab.series_store import SeriesStore

    check_output_path(file, force=force, suffixes=(".html",))
    store = SeriesStore()
    try:
        write_file(file, export_page(runs_below(folders), store))
    finally:
        store.close()
    say(console(), f"written   {file}")


def _is_loopback(host: str) -> bool:
    """Whether nothing beyond this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
