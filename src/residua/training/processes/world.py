"""The processes of a run and their devices; the one place that knows the launcher and torch.distributed."""

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
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # not in its list
from torch.nn.parallel import DistributedDataParallel

from residua.data import loader
from residua.errors import PeerLostError
from residua.nn.device import nearest_device
from residua.training.processes.failure import failed, hang_up, part, sockets, until, within
from residua.training.processes.heartbeat import Address, HeartbeatMonitor, address, beating, leave_with, wake

T = TypeVar("T")

STALL = "RESIDUA_STALL_SECONDS"
"""Variable that replaces `STALL_SECONDS`."""
STALL_SECONDS = 20.0
"""A process that others wait for so long in a step counts as lost; launchers end it within 30 s more."""
UNNAMED = "none"
"""What torchrun calls a job without --rdzv-id."""
PATIENT_SECONDS = 3600.0
"""The same where one process works and the others wait: opening a set, saving, writing the report."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all that work on one run; as it stands, the only one."""

    rank: int = 0
    """Its number."""
    size: int = 1
    """Processes in all."""
    local: int = 0
    """Its number on its machine, which is the number of its GPU."""
    restarts: int = 0
    """How often the launcher has started all of them anew."""
    job: str = ""
    """What the launcher calls all its attempts together; empty where nobody gave it a name."""
    store: Store | None = None
    """Where they leave notes for each other: rank 0 serves it."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device nearest to `name` as this process has it: every one takes a GPU of its own."""
        found = str(nearest_device(name))
        return f"cuda:{self.local}" if self.size > 1 and found.startswith("cuda") else found

    def images(self, batch: int) -> int:
        """Images of a batch that fall to this process; where it does not divide, the last get one fewer.

        ValueError when some process would get none.
        """
        if batch < self.size:
            raise ValueError(
                f"{self.size} processes share a batch of {batch}: give at most {batch} processes"
            )
        return len(range(self.rank, batch, self.size))

    def any(self, *claims: bool) -> tuple[bool, ...]:
        """Which of them are true on some process. All must ask at the same point."""
        return tuple(number > 0 for number in self.sum(*map(float, claims)))

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """The sums over all processes, the same on every one. All must come to the same point."""
        if self.size == 1:
            return numbers
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found)
        return tuple(found.tolist())

    def share(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, on every process; the others wait patiently.

        What it raises is raised there, and PeerFailedError elsewhere.
        """
        if self.size == 1:
            return make()
        made = [make() if self.leads else None]
        self.meet()
        dist.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]

    def either(self, claim: Tensor) -> Tensor:
        """Whether `claim`, a bool on any device, is true on some process; no host waits for a GPU."""
        if self.size == 1:
            return claim
        found = claim.to(torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return found > 0

    def gather(self, own: list[T]) -> list[T]:
        """The items of all processes, in the order in which they were dealt out: 0, 1, ..., 0, 1, ..."""
        if self.size == 1:
            return own
        every: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(every, own)
        longest = max(map(len, every))
        return [items[place] for place in range(longest) for items in every if place < len(items)]

    def meet(self) -> None:
        """Wait patiently until every process has come here.

        PeerFailedError or PeerLostError when one will not; even while it works, each gives signs of life.
        """
        if (store := self.store) is None:
            return
        stall = _stall_seconds()
        watch = HeartbeatMonitor(store, self.size if self.leads else 0, seconds=stall)
        turn = within(stall, lambda: store.add(f"turn/{self.rank}", 1))
        within(stall, lambda: store.add(f"met/{turn}", 1))
        limit = time.monotonic() + PATIENT_SECONDS
        while within(stall, lambda: store.add(f"met/{turn}", 0)) < self.size:
            if within(stall, lambda: store.check(["error"])):
                raise failed(store)
            watch.look()
            if time.monotonic() > limit:
                raise PeerLostError(
                    f"another process did nothing for {PATIENT_SECONDS:.0f} s: see its machine"
                )
            time.sleep(min(0.5, 0.005 * self.size))

    def match(self, network: nn.Module) -> None:
        """Give every process the running statistics of rank 0, so that all judge one network."""
        if self.size > 1:
            for value in network.buffers():
                dist.broadcast(value, 0)

    def spread(self, network: nn.Module, *, sync_norm: bool = False) -> nn.Module:
        """`network` so that a backward pass leaves the mean of all processes' gradients.

        With `sync_norm`, batch norms see the batch of all. ValueError where torch cannot do that.
        """
        if self.size == 1:
            return network
        resolve_device = next(network.parameters()).device
        if sync_norm and resolve_device.type != "cuda":
            raise ValueError("plan.sync_norm needs GPUs: leave it false, or use a network with other norms")
        if sync_norm:
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        own = [resolve_device] if resolve_device.type == "cuda" else None
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # new in 2.15
            return DistributedDataParallel(
                network, device_ids=own, broadcast_buffers=False, gradient_as_bucket_view=True
            )


ALONE = World()
"""A run in one process."""


@contextmanager
def joined() -> Iterator[World]:
    """The world that the launcher's environment describes, while inside; leave it together.

    An error on any process ends all of them: it is raised where it happened and on rank 0, which speaks for
    all; the rest raise PeerFailedError. PeerLostError when a process died or stalls without a word. ValueError when the
    environment is incomplete.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ValueError(f"WORLD_SIZE is {size} without {missing[0]}: start it by --processes or torchrun")
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=leave_with, args=(os.getppid(),), daemon=True).start()
    stall = timedelta(seconds=_stall_seconds())
    store = _store(rank, size)
    store.set_timeout(stall)
    loader.hurry(0.8 * stall.total_seconds())  # a worker that hangs is told before its process counts as lost
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(local)
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    job = os.environ.get("TORCHELASTIC_RUN_ID", UNNAMED)
    world = World(rank, size, local, restarts, job if job != UNNAMED else "", store)
    others, connections, members = sockets(), set[int](), list[Address]()
    try:
        group = PrefixStore("group", store)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo", store=group, rank=rank, world_size=size, timeout=stall
        )
        connections, members = sockets() - others, world.gather([address()])
        with beating(store, rank):
            yield world
            world.meet()  # a process that left early would look like one that died
    except Exception as error:
        wake(members)
        raise part(error, store, rank=rank, size=size, close=partial(_close, connections, store)) from error
    dist.destroy_process_group()
    with suppress(Exception):  # rank 0 serves the notes, so it goes last
        store.add("left", 1)
        until(lambda: rank > 0 or store.add("left", 0) == size)


def _stall_seconds() -> float:
    """How long a process may not answer. ValueError for a wrong setting."""
    text = os.environ.get(STALL, str(STALL_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ValueError(f"{STALL} is {text!r}: give seconds above 0")
    return seconds


def _store(rank: int, size: int) -> TCPStore:
    """A store that rank 0 serves, new in every attempt.

    The store of torchrun's agent outlives a restart, and the addresses of the dead in it can catch the living
    (pytorch issue 135712); so it only tells where ours is, and an old note there is refused and read again.
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


def _close(connections: set[int], store: TCPStore) -> None:
    hang_up(connections, but=store.port)  # torch leaves them open as long as a learner holds on to the group
    with suppress(Exception):  # the group may never have been opened
        dist.destroy_process_group()


def cores() -> int:
    """CPU cores that fall to this process."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, found // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
