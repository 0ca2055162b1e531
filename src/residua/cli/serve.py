"""`residua serve`."""

from pathlib import Path

import typer

from residua.cli.options import number
from residua.cli.paths import obtain_trained
from residua.cli.terminal import aside, console, say
from residua.errors import ConfigError, MissingPackageError
from residua.events import Event, Note

HOST = typer.Option(
    "127.0.0.1", "--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 for every network."
)
PORT = number(8000, "--port", low=0, high=65535, help="Port to listen on; 0 takes a free one")
NAME = typer.Option(
    "", "--name", metavar="NAME", help="Name of the network in addresses; default: of the file."
)
MAX_DELAY = number(
    0.0,
    "--max-delay-ms",
    low=0,
    high=1000,
    metavar="MS",
    help="Longest wait for a batch to fill; 0 never waits",
)
MAX_QUEUE = number(
    None, "--max-queue", low=1, high=100_000, help="Requests that may wait; default: by the measured speed"
)
ENGINE = typer.Option(
    "auto",
    "--engine",
    metavar="NAME",
    help="What computes images of a run: torch, onnxruntime, ...; auto measures once, and takes the fastest.",
)
ALLOW_HOST = typer.Option(
    [], "--allow-host", metavar="NAME", help="Name by which clients call the server; * allows every name."
)
RAY = typer.Option(
    None, "--ray", metavar="ADDRESS", help="Serve on a Ray cluster: auto, local, or host:port."
)
REPLICAS = typer.Option(
    "", "--replicas", metavar="N|N-M", help="With --ray: replicas, or a range that follows the load."
)


def serve(
    trained: Path = typer.Argument(
        metavar="RUN|FILE|NAME", help="A run, a file, or published weights by name."
    ),
    host: str = HOST,
    port: int = PORT,
    name: str = NAME,
    engine: str = ENGINE,
    max_delay_ms: float = MAX_DELAY,
    max_queue: int | None = MAX_QUEUE,
    allow_host: list[str] = ALLOW_HOST,
    ray: str | None = RAY,
    replicas: str = REPLICAS,
) -> None:
    """Serve predictions over HTTP: a page for people, the Open Inference Protocol for programs.

    SIGTERM and Ctrl-C let accepted requests finish, SIGHUP loads the file again.

    Example: residua serve runs/photos-1

    Example: residua serve model.onnx --host 0.0.0.0 --allow-host photos.example.com
    """
    try:
        from residua.serve import server
        from residua.serve.app import create_app
        from residua.serve.limits import Limits
        from residua.serve.loading import load_model
        from residua.serve.model import ServedModel
        from residua.serve.plan import plan_lines
    except ModuleNotFoundError as error:
        text = f"the server needs {error.name}: pip install 'residua[serve]'"
        raise MissingPackageError(text) from None

    to = console()
    limits = Limits(
        queue=max_queue or 0, max_delay=max_delay_ms / 1000, hosts=tuple(map(str.lower, allow_host))
    )
    obtain_trained([trained])
    if ray:
        from residua.serve.ray_app import RayServer, serve_on_ray

        spread = RayServer(trained, limits, host, port, name, replicas, engine)
        serve_on_ray(ray, spread, log=lambda line: say(to, line))
        return
    if replicas:
        raise ConfigError("--replicas needs --ray: give both, or neither")
    sock = server.listen(host, port)

    def show(event: Event) -> None:
        if isinstance(event, Note):
            say(aside(to), event.text)

    def load(running: str = "") -> ServedModel:
        return load_model(trained, name=name, engine=engine, running=running, listen=show)

    app = create_app(load(), limits)
    service = app.state.service
    for line in plan_lines(service):
        say(aside(to), line)
    server.run(app, sock, load=lambda: load(service.model.engine), log=lambda line: say(to, line))
