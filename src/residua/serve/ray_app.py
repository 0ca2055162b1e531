"""The same application on a Ray cluster: Ray Serve runs one copy of it, a replica, on each machine.

this process                              a machine of the cluster
------------                              ------------------------
try the network, measure its batches
deploy               ------------------>  a replica loads the file and measures again; Ray's proxy listens
every POLL_SECONDS: report changes        proxy: requests -> replicas; all places taken -> 429, Retry-After
signal to stop: delete  --------------->  replicas finish the requests they accepted, for `drain_seconds`
machine lost: its requests fail, Ray starts its replica on another machine

What a replica accepts at once, and what waits at a proxy, follow from the measured batches.
"""

import math
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from residua.errors import ConfigError
from residua.jobs.ray_cluster import joined_cluster
from residua.predict.exported import is_exported
from residua.serve.admission import Admission
from residua.serve.app import create_app
from residua.serve.limits import Limits
from residua.serve.loading import load_model
from residua.serve.model import ServedModel
from residua.serve.speed import BatchTimes, Speed, measure_batches
from residua.spec.amount import quantity

POLL_SECONDS = 1.0
"""Time between two looks at the state of the replicas."""
ATTEMPTS = 3
"""How often Ray tries to start a replica."""


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """How many replicas a cluster runs, and how many requests each of them takes."""

    least: int
    """Replicas that always run."""
    most: int
    """Replicas that run under load."""
    per_machine: int
    """Most replicas on one machine."""
    cores: int
    """Cores of one replica."""
    gpus: int
    """GPUs of one replica."""
    batch: int
    """Requests for each replica that Ray aims at: its largest batch."""
    ongoing: int
    """Requests that a replica accepts at once, those that are computed and those that wait."""
    queued: int
    """Requests that wait at each proxy while no replica accepts one."""


def plan_replicas(
    machines: list[dict[str, float]], times: BatchTimes, limits: Limits, replicas: str = ""
) -> ReplicaPlan:
    """Decide how a cluster serves a network.

    Args:
        machines: Resources of each machine, as Ray names them: `CPU`, `GPU`.
        times: Batches of the network, measured on one machine.
        limits: What requests may use.
        replicas: `N`, or `N-M` for as many as the load needs; empty for one on each machine.

    Raises:
        ConfigError: `replicas` is neither.
    """
    least, most = _parse_replicas(replicas) if replicas else (len(machines), len(machines))
    per_machine = math.ceil(most / len(machines))
    cores = min(machine.get("CPU", 1.0) for machine in machines)
    has_gpus = all(machine.get("GPU", 0) >= per_machine for machine in machines)
    batch = times.sizes[-1]
    admission = Admission(limits, Speed(times.images_per_second, 1), batch)
    return ReplicaPlan(
        least=least,
        most=most,
        per_machine=per_machine,
        cores=max(1, int(cores / per_machine)),
        gpus=int(has_gpus),
        batch=batch,
        ongoing=admission.places,
        queued=batch * most,
    )


def _parse_replicas(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    if least.isdecimal() and (most or least).isdecimal() and 0 < int(least) <= int(most or least):
        return int(least), int(most or least)
    raise ConfigError(f"--replicas {text}: give a number from 1, or a range such as 1-4")


@dataclass(frozen=True, slots=True)
class RayServer:
    """What is deployed, and where it listens."""

    path: Path
    """The file or run; every machine must see it."""
    limits: Limits
    """What requests may use."""
    host: str = "127.0.0.1"
    """Address on which the proxy of each machine listens."""
    port: int = 8000
    """Its port."""
    name: str = ""
    """Name of the network in addresses; empty takes the name of the file."""
    replicas: str = ""
    """As `plan_replicas` reads it."""
    engine: str = "auto"
    """As `load_model` reads it, on each machine."""


def serve_on_ray(address: str, server: RayServer, *, log: Callable[[str], None]) -> None:
    """Deploy a network on a Ray cluster, and delete it again on SIGTERM or SIGINT.

    Args:
        address: `auto`, `local` (a cluster of this machine, for this process) or host:port.
        server: What is deployed.
        log: Receives lines: the plan, ready, replicas lost and started.

    Raises:
        ConfigError: Ray Serve is not installed, there is no cluster, or it cannot start the network.
        NonFiniteError: The network computes NaN or infinity.
    """
    serve = _import_ray_serve()
    if not server.port:
        raise ConfigError("--port 0 with --ray: give a port that is free on every machine")
    model = load_model(server.path, name=server.name, engine=server.engine)
    times = measure_batches(model)
    stop = threading.Event()
    with joined_cluster(address) as ray:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        plan = plan_replicas(machines, times, server.limits, server.replicas)
        log(describe(plan, len(machines)))
        handlers = {
            number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            deploy(serve, server, plan, model)
            log(f"serving http://{server.host}:{server.port}")
            _watch(serve, model.name, stop, log)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            serve.delete(model.name)  # and not what else Ray Serve runs on this cluster


def deploy(serve: Any, server: RayServer, plan: ReplicaPlan, model: ServedModel) -> None:
    """Deploy the application, and return when its replicas are ready.

    Args:
        serve: The module `ray.serve`, in a process that joined a cluster.
        server: What is deployed.
        plan: How.
        model: The network, loaded in this process.

    Raises:
        ConfigError: The cluster cannot start it.
    """
    from ray.exceptions import RayError

    path, name, limits = server.path.absolute(), model.name, server.limits

    def build() -> Any:
        """In a replica."""
        return replica_app(replace(server, path=path, name=name))

    deployment = serve.deployment(
        name=name,
        max_ongoing_requests=plan.ongoing,
        max_queued_requests=plan.queued,
        backpressure_config={"status_code": 429, "retry_after_s": max(1.0, limits.wait_seconds)},
        max_replicas_per_node=plan.per_machine,
        max_constructor_retry_count=ATTEMPTS,
        graceful_shutdown_timeout_s=limits.drain_seconds,
        health_check_period_s=2.0,
        health_check_timeout_s=10.0,
        ray_actor_options={
            "num_cpus": plan.cores,
            "num_gpus": 0 if is_exported(path) else plan.gpus,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(plan.cores)}},
        },
        **_replica_count(plan),
    )
    request_seconds = limits.receive_seconds + limits.compute_seconds
    options = {"host": server.host, "port": server.port, "request_timeout_s": request_seconds}
    try:
        serve.start(proxy_location="EveryNode", http_options=options)
        serve.run(deployment(serve.ingress(build)()).bind(), name=name, route_prefix="/")
    except TimeoutError:
        raise ConfigError(
            "Ray's proxies did not start within a minute: is another program using all cores?"
        ) from None
    except (RuntimeError, RayError):
        causes = "each machine must see this path and have residua and free cores"
        raise ConfigError(f"the cluster could not start {path}: {causes}; `serve status` says more") from None


def replica_app(server: RayServer) -> FastAPI:
    """The application of one replica, which loads the network with the engine that the user named."""
    return create_app(load_model(server.path, name=server.name, engine=server.engine), server.limits)


def _replica_count(plan: ReplicaPlan) -> dict[str, Any]:
    if plan.least == plan.most:
        return {"num_replicas": plan.most}
    scaling = {
        "min_replicas": plan.least,
        "max_replicas": plan.most,
        "target_ongoing_requests": max(1, plan.batch),
    }
    return {"autoscaling_config": scaling}


def describe(plan: ReplicaPlan, machines: int) -> str:
    """The plan in a line."""
    count = f"{plan.least}" if plan.least == plan.most else f"{plan.least} to {plan.most}"
    where = quantity(machines, "machine")
    each = f"each computes batches of up to {plan.batch} and accepts {plan.ongoing} requests"
    return f"replicas  {count} on {where}; {each}; {plan.queued} more wait"


def _watch(serve: Any, name: str, stop: threading.Event, log: Callable[[str], None]) -> None:
    """Report every change of the replicas until the signal to stop."""
    last = ""
    while True:
        state = serve.status().applications[name].deployments[name].replica_states
        line = ", ".join(f"{count} {str(word).lower()}" for word, count in sorted(state.items()) if count)
        if line != last:
            log(f"replicas  {line}")
            last = line
        if stop.wait(POLL_SECONDS):
            return


def _import_ray_serve() -> Any:
    """ConfigError when Ray, or what its server needs beside it, is not installed."""
    try:
        from ray import serve
    except ImportError:
        raise ConfigError("--ray needs Ray Serve: pip install 'residua[ray-serve]'") from None
    return serve
