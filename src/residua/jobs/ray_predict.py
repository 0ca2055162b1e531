"""Predict on a Ray cluster: Ray Data deals sections of the inputs to one process on each machine.

this process                           a machine of the cluster
------------                           ------------------------
list the inputs, once         ------>  load the network and choose its engine, once
deal sections (first, end)    ------>  read, decode and compute the inputs of a section
predictions in order          <------  its predictions, or the error that ends the work
machine lost: Ray Data has its sections computed on another one

A section is a multiple of the batch size, so that batches are the same as on one machine.
"""

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.data.inputs import Inputs
from residua.errors import ConfigError, MissingPackageError, ResiduaError, ResourceError
from residua.jobs.fast_predictor import fast_predictor
from residua.jobs.ray_cluster import joined_cluster
from residua.predict.exported import is_exported
from residua.tasks.predict_task import AnyPredictTask, Predictions, PredictOptions

SECTION = 256
"""Most inputs of a section, unless one batch has more: what is computed again when a machine is lost."""
SECTIONS = 8
"""Least sections for each machine where there are enough inputs, so that no machine waits long at the end."""
START_SECONDS = 300
"""How long machines have to start: on a cluster that computes for others, none may be free."""
BATCH_SIZE = 16
"""Batch size whose multiples sections are where the user asks for none; it is that of images."""


@dataclass(frozen=True, eq=False, slots=True)
class RayWork:
    """What the machines of a cluster compute."""

    task: AnyPredictTask
    """How the network is used."""
    trained: Path
    """Where the network is, for every machine."""
    device: str
    """As `PredictTask.load` takes it."""
    inputs: Inputs
    """Images or videos, for every machine in the same places."""
    options: PredictOptions
    """What is predicted of each."""


def predict_on_ray(address: str, work: RayWork, *, start: int) -> Iterator[Predictions]:
    """The predictions of `work` from input `start` on, computed on a cluster; in order, a few at a time.

    Args:
        address: `auto`, `local` (a cluster of this machine, for this process) or host:port.
        work: The network and the inputs.
        start: Index of the first input.

    Raises:
        MissingPackageError: Ray Data is not installed.
        ConfigError: There is no cluster at `address`, or a machine does not see the files.
        ResourceError: No machine was free for START_SECONDS, or the cluster lost the work.
        ResiduaError: What a machine raised.
    """
    with joined_cluster(address) as ray, redirect_stdout(sys.stderr):  # where Ray reports lost machines
        data = import_ray_data()
        machines = [
            node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")
        ]
        rows = sections(start, len(work.inputs), len(machines), work.options.batch_size or BATCH_SIZE)
        if not rows:  # all were predicted by a command that was interrupted in its last step
            return
        cores = min(machine["CPU"] for machine in machines)
        free = int(ray.available_resources().get("CPU", 0) // cores)  # others may use the cluster, too
        uses_gpus = work.device in ("auto", "cuda") and not is_exported(work.trained)
        outputs = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Machine,
            fn_constructor_args=(os.getcwd(), work),
            batch_size=1,
            concurrency=(1, len(machines), min(max(1, free), len(machines))),
            num_cpus=cores,
            num_gpus=int(uses_gpus and all(machine.get("GPU", 0) >= 1 for machine in machines)),
        )
        try:
            for row in outputs.iter_rows():
                if isinstance(row["output"], Exception):
                    raise row["output"]
                yield from row["output"]
        except ray.exceptions.GetTimeoutError:
            text = f"the cluster at {address} had too few free cores for {START_SECONDS} s: try again later"
            raise ResourceError(text) from None
        except ray.exceptions.RayError as error:
            cause = str(error).strip().splitlines()[-1]
            raise ResourceError(f"the cluster at {address} cannot predict: {cause}") from None


class Machine:
    """In a process on a machine of the cluster: the network, loaded at the first section."""

    def __init__(self, folder: str, work: RayWork) -> None:
        self._folder, self._work = folder, work
        self._predictor: Any = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        """The predictions of one section: a list of them, or an error."""
        work = self._work
        try:
            if self._predictor is None:
                self._predictor = self._load()
            section = work.inputs.section(int(rows["first"][0]), int(rows["end"][0]))
            output: Any = list(work.task.predict(self._predictor, section, work.options))
        except (ResiduaError, OSError) as error:
            output = error
        return {"output": [output]}

    def _load(self) -> Any:
        """The predictor. ConfigError where this machine does not see the folder of the command."""
        work = self._work
        try:
            os.chdir(self._folder)  # inputs keep the names that the user gave
        except OSError:
            text = f"{self._folder} is not on every machine: --ray needs a shared folder"
            raise ConfigError(text) from None
        predictor = work.task.load(work.trained, device=work.device)
        return fast_predictor(work.task, predictor, work.inputs, work.options, lambda _: None)


def sections(start: int, end: int, machines: int, batch_size: int) -> list[dict[str, int]]:
    """First input and end of each section."""
    size = min(SECTION, math.ceil((end - start) / (machines * SECTIONS)))
    size = max(1, math.ceil(size / batch_size)) * batch_size
    return [{"first": first, "end": min(first + size, end)} for first in range(start, end, size)]


def import_ray_data() -> Any:
    """The module `ray.data`, silent and in order. MissingPackageError where its packages are missing."""
    try:
        from ray import data
    except ImportError as error:
        text = f"predict --ray needs Ray Data ({error.name} is missing): pip install 'residua[ray]'"
        raise MissingPackageError(text) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.wait_for_min_actors_s = START_SECONDS
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    return data
