"""World: this process and the others that train the same run. The one place that names torch.distributed.

    process_group()   joins the group that the launcher's environment describes
      in a step       collective operations (`any`, `sum`, gradients): they time out after STALL_SECONDS
      between steps   `barrier` and `run_on_main` wait up to PATIENT_SECONDS while heartbeats come
      on an error     processes/failure.py: all processes end with one error, and the launcher restarts them

Processes share one store, served by rank 0: errors, heartbeats and barriers go through it. A group without a
launcher is `SINGLE_PROCESS`, whose methods return at once.
"""

import math
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # not in its list
from torch.nn.parallel import DistributedDataParallel

from residua.data import loader
from residua.errors import ConfigError, PeerLostError
from residua.nn.device import nearest_device
from residua.nn.processor import usable_cores
from residua.spec.amount import quantity
from residua.training.processes.failure import (
    Address,
    call_within,
    failure_in,
    own_address,
    propagate_failure,
    wait_until,
    wake_stopped,
)
from residua.training.processes.heartbeat import HeartbeatMonitor, exit_with_parent, heartbeat

T = TypeVar("T")

LEAVE_SECONDS = 10.0
"""How long rank 0 serves the store for processes that have not left yet."""

STALL = "RESIDUA_STALL_SECONDS"
"""Environment variable that replaces `STALL_SECONDS`."""
STALL_SECONDS = 20.0
"""A process that the others wait for so long in a step counts as lost; the launcher ends it within 30 s
more."""
NO_JOB_ID = "none"
"""The name that torchrun gives to a job without --rdzv-id."""
PATIENT_SECONDS = 3600.0
"""The same limit while one process works alone: opening a dataset, saving, writing the report."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all that train one run; the default is a single process."""

    rank: int = 0
    """Number of this process; 0 writes the run and prints."""
    size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process on its machine, and of its GPU."""
    restarts: int = 0
    """How often the launcher has restarted the processes."""
    job_id: str = ""
    """The launcher's name for all attempts of one job; empty without one."""
    store: Store | None = None
    """Key-value store of the group, served by rank 0; None for a single process."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run and reports for all."""
        return self.rank == 0

    def local_device(self, name: str) -> str:
        """The device nearest to `name` for this process: each process has a GPU of its own."""
        nearest = str(nearest_device(name))
        return f"cuda:{self.local_rank}" if self.size > 1 and nearest.startswith("cuda") else nearest

    def local_batch_size(self, batch_size: int) -> int:
        """Images of a batch that this process takes; the last processes may take one fewer.

        Raises:
            ConfigError: A process would have none.
        """
        if batch_size < self.size:
            raise ConfigError(
                f"{self.size} processes share a batch of {batch_size}: give "
                f"at most {quantity(batch_size, 'process')}"
            )
        return len(range(self.rank, batch_size, self.size))

    def any(self, *claims: bool) -> tuple[bool, ...]:
        """For each claim, whether it is true on some process. Collective: all processes must call it."""
        return tuple(total > 0 for total in self.sum(*map(float, claims)))

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """The sums over all processes, equal on each. Collective: all processes must call it."""
        if self.size == 1:
            return numbers
        totals = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(totals)
        return tuple(totals.tolist())

    def run_on_main(self, function: Callable[[], T]) -> T:
        """Run `function` on process 0 and return its result on every process. The others wait patiently.

        Raises:
            Exception: What `function` raises, on process 0.
            PeerFailedError: The same failure, on the other processes.
        """
        if self.size == 1:
            return function()
        results = [function() if self.is_main else None]
        self.barrier()
        dist.broadcast_object_list(results)
        return results[0]  # type: ignore[return-value]

    def any_on_device(self, claim: Tensor) -> Tensor:
        """Whether `claim`, a bool tensor on any device, is true on some process; no host waits for a GPU."""
        if self.size == 1:
            return claim
        count = claim.to(torch.int32)
        dist.all_reduce(count, dist.ReduceOp.MAX)
        return count > 0

    def gather(self, items: list[T]) -> list[T]:
        """The items of all processes in the order in which they were dealt out: 0, 1, ..., 0, 1, ..."""
        if self.size == 1:
            return items
        lists: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(lists, items)
        longest = max(map(len, lists))
        return [one[place] for place in range(longest) for one in lists if place < len(one)]

    def barrier(self) -> None:
        """Wait until every process has come here, up to PATIENT_SECONDS while they send heartbeats.

        Raises:
            PeerFailedError: Another process failed.
            PeerLostError: Another process died or stalls.
        """
        if (store := self.store) is None:
            return
        stall = _stall_seconds()
        monitor = HeartbeatMonitor(store, self.size if self.is_main else 0, seconds=stall)
        number = call_within(stall, lambda: store.add(f"barrier/{self.rank}", 1))
        call_within(stall, lambda: store.add(f"arrived/{number}", 1))
        limit = time.monotonic() + PATIENT_SECONDS
        while call_within(stall, lambda: store.add(f"arrived/{number}", 0)) < self.size:
            if call_within(stall, lambda: store.check(["error"])):
                raise failure_in(store)
            monitor.check()
            if time.monotonic() > limit:
                raise PeerLostError(
                    f"another process did nothing for {PATIENT_SECONDS:.0f} s: see its machine"
                )
            time.sleep(min(0.5, 0.005 * self.size))

    def broadcast_buffers(self, network: nn.Module) -> None:
        """Give every process the running statistics of process 0, so that all evaluate one network."""
        if self.size > 1:
            for value in network.buffers():
                dist.broadcast(value, 0)

    def data_parallel(self, network: nn.Module, *, sync_norm: bool = False) -> nn.Module:
        """`network`, wrapped so that a backward pass leaves the mean of all processes' gradients.

        Args:
            network: The network on the device of this process.
            sync_norm: Whether batch norms compute their statistics over the batch of all processes.

        Returns:
            The wrapped network; `network` itself for a single process.

        Raises:
            ConfigError: `sync_norm` without GPUs.
        """
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        if sync_norm and device.type != "cuda":
            raise ConfigError("plan.sync_norm needs GPUs: leave it false, or use a network with other norms")
        if sync_norm:
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        own = [device] if device.type == "cuda" else None
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # new in torch 2.15
            return DistributedDataParallel(
                network, device_ids=own, broadcast_buffers=False, gradient_as_bucket_view=True
            )


SINGLE_PROCESS = World()
"""The world of a run in one process."""


@contextmanager
def process_group() -> Iterator[World]:
    """Join the processes that the launcher's environment describes, while inside; all leave together.

    Raises:
        ConfigError: The environment is incomplete.
        Exception: What this process, or on process 0 another one, raises inside.
        PeerFailedError: Another process failed; silent where process 0 reports it.
        PeerLostError: Another process died or stalls without an error.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield SINGLE_PROCESS
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(f"WORLD_SIZE is {size} without {missing[0]}: start it by --processes or torchrun")
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=exit_with_parent, args=(os.getppid(),), daemon=True).start()
    stall = timedelta(seconds=_stall_seconds())
    store = _open_store(rank, size)
    store.set_timeout(stall)
    loader.limit_timeout(
        0.8 * stall.total_seconds()
    )  # report a loader worker that hangs before its process is lost
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(local_rank)
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    job_id = os.environ.get("TORCHELASTIC_RUN_ID", NO_JOB_ID)
    world = World(rank, size, local_rank, restarts, job_id if job_id != NO_JOB_ID else "", store)
    addresses: list[Address] = []
    try:
        group = PrefixStore("group", store)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo", store=group, rank=rank, world_size=size, timeout=stall
        )
        addresses = world.gather([own_address()])
        with heartbeat(store, rank):
            yield world
            world.barrier()  # a process that left early would look like a dead one
    except Exception as error:
        wake_stopped(addresses)
        raise propagate_failure(error, store, rank=rank, size=size, seconds=stall.total_seconds()) from error
    dist.destroy_process_group()
    with suppress(Exception):  # rank 0 serves the store, so it leaves last
        store.add("left", 1)
        wait_until(lambda: rank > 0 or store.add("left", 0) == size, seconds=LEAVE_SECONDS)


def _stall_seconds() -> float:
    """Seconds after which a silent process counts as lost. ConfigError for a wrong setting."""
    text = os.environ.get(STALL, str(STALL_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{STALL} is {text!r}: give seconds above 0")
    return seconds


def _open_store(rank: int, size: int) -> TCPStore:
    """A store served by rank 0, new in every attempt.

    The store of torchrun's agent outlives a restart, and its addresses of dead processes mislead new ones
    (pytorch issue 135712). So the agent's store holds only the address of ours; an outdated address refuses
    the connection, and is read again.
    """
    host, port, wait = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timedelta(minutes=5)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return TCPStore(host, port, size, rank == 0, timeout=wait, wait_for_workers=False)
    agent = TCPStore(host, port, is_master=False, timeout=wait)
    key = f"residua/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if rank == 0:
        here = os.environ.get("LOCAL_WORLD_SIZE") == str(size)
        name = "localhost" if here else socket.getfqdn()
        ours = TCPStore(name, 0, size, True, timeout=wait, wait_for_workers=False)
        agent.set(key, f"{name} {ours.port}")
        return ours
    limit = time.monotonic() + wait.total_seconds()
    while True:
        name, number = agent.get(key).decode().split()
        try:
            return TCPStore(name, int(number), size, False, timeout=timedelta(seconds=5))
        except RuntimeError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


def available_cores() -> int:
    """CPU cores for this process: those of the machine, shared by its processes."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
