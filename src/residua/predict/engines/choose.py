"""Choose the engine of a network by measuring, within a stated number of seconds, once for each machine.

known        an earlier process measured the same network, batch size, threads, processor and libraries: its
             fastest engine is built and must still agree on the views; else everything is measured again
build        the candidates, from the simplest to the least simple, as long as there is time for the next
agree        each computes some views; one whose logits are not those of the float32 network is struck out
time         the others take turns in batches; a later one wins only if it is faster beyond the noise. Where
             there is no time for enough turns, the quickest batch of each decides, and nothing is remembered

An engine that cannot be built, for want of a package or a compiler, is a row with the reason, never an error.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import one_line
from residua.errors import ConfigError
from residua.events import Activity, Event, Note
from residua.measure import timing
from residua.measure.measurements import load_measurement, save_measurement
from residua.nn.device import torch_threads
from residua.nn.network import Network
from residua.predict.engines.agreement import compare_logits
from residua.predict.engines.candidates import CANDIDATES, EAGER, Candidate, Workload
from residua.predict.engines.engine import Engine
from residua.predict.engines.engine_table import EngineRow, EngineTable, engine_subject

SECONDS = 20.0
"""Seconds that choosing takes at most, unless the work is long."""
MAX_SHARE = 0.03
"""Share of the predicted seconds of long work that choosing may take."""
MIN_SPEEDUP = 1.03
"""How many times faster than a simpler engine an engine must be."""
UNSURE_SPEEDUP = 1.1
"""The same where there was no time for enough turns; the quickest batch of each is compared."""
SAMPLE = 8
"""Views whose logits are compared."""
SHORT_WORK = 2.0
"""How many times the seconds of choosing the work must take as it is, so that anything is measured."""
BUILD_SHARE = 0.7
"""Share of the seconds after which no other engine is built: the rest is for timing."""
MAX_RATIO = 1.5
"""How many times longer than the best engine's batch that of an engine may take, to be timed in turns."""
MIN_VIEWS = 4
"""Fewest views of a timed batch, unless the batches of the work have fewer."""
TIMED_BATCHES = 80
"""Batches for which there should be time, all engines together."""


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """An engine, and what was measured."""

    engine: Engine
    """The fastest engine that agrees."""
    table: EngineTable
    """All candidates."""


def choose_engine(
    network: Network,
    views: NDArray[np.uint8],
    *,
    batch_size: int,
    seconds: float = SECONDS,
    images: int = 0,
    listen: Callable[[Event], object] = lambda _: None,
) -> Engine:
    """The fastest engine for a network on its device; see `measure_engines`.

    Args:
        network: A network for images, in eval mode on its device.
        views: The first views of the work, (n, C, S, S): engines must agree on them. With none, noise.
        batch_size: Views that are computed at once.
        seconds: Seconds that choosing may take; long work allows MAX_SHARE of its own.
        images: Images of the work; 0 where that is unknown. Nothing is measured for short work.
        listen: Receives what is done, then the measured table, a Note for each line.
    """
    return measure_engines(
        network, views, batch_size=batch_size, seconds=seconds, images=images, listen=listen
    ).engine


def named_engine(network: Network, name: str, *, batch_size: int) -> Engine:
    """The engine called `name` for a network on its device, without measuring.

    Args:
        network: A network for images, in eval mode on its device.
        name: As in `CANDIDATES`.
        batch_size: Views that are computed at once.

    Raises:
        ConfigError: There is no such engine for this device, or its package is not installed.
    """
    work = _workload(network, batch_size)
    rows = {row.name: row for row in CANDIDATES if row.applies(work)}
    if name not in rows:
        raise ConfigError(f"no engine {name!r} for {work.device} here: give auto, {', '.join(rows)}")
    return rows[name].make(work)


def same_engine(
    network: Network, name: str, *, batch_size: int, listen: Callable[[Event], object] = lambda _: None
) -> Engine:
    """The engine called `name` where it computes a network as torch does, else torch; nothing is measured.

    Args:
        network: A network for images, in eval mode on its device.
        name: As in `CANDIDATES`: the engine of a network that this one replaces.
        batch_size: Views that are computed at once.
        listen: Receives what is done, and why torch computes where it does.
    """
    work = _workload(network, batch_size)
    trial = _Trial(work, _sample(np.empty(0, np.uint8), network), listen)
    row = next((row for row in CANDIDATES if row.name == name and row.applies(work)), None)
    engine, outcome = trial.build(row) if row else (None, EngineRow(name, reason="it is not for this device"))
    if engine is None:
        listen(Note(f"engine {EAGER}: {name} cannot compute this network ({outcome.reason})"))
    return engine or trial.eager


def measure_engines(
    network: Network,
    views: NDArray[np.uint8],
    *,
    batch_size: int,
    seconds: float = SECONDS,
    images: int = 0,
    listen: Callable[[Event], object] = lambda _: None,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> ChosenEngine:
    """Measure every engine that applies, or take what was measured earlier; arguments as `choose_engine`.

    Args:
        network: A network for images, in eval mode on its device.
        views: Views on which engines must agree.
        batch_size: Views that are computed at once.
        seconds: Seconds that choosing may take.
        images: Images of the work; 0 where that is unknown.
        listen: Receives what is done, and the lines of the table.
        candidates: Rows of engines, EAGER first; an int8 model is another row.
    """
    work = _workload(network, batch_size)
    rows = [row for row in candidates if row.applies(work)]
    subject = engine_subject(work, [row.name for row in rows])
    trial = _Trial(work, _sample(views, network), listen)
    chosen = _known(trial, rows, load_measurement(EngineTable, subject))
    if chosen is None:
        chosen = _measured(trial, rows, subject, _Budget(seconds, images))
    for line in chosen.table.lines():
        listen(Note(line))
    return chosen


@dataclass(frozen=True, slots=True)
class _Budget:
    """What choosing may cost."""

    seconds: float
    images: int

    def limit(self, seconds_per_image: float) -> float:
        """Seconds for choosing; 0 for work so short that it would not pay."""
        work = self.images * seconds_per_image
        if self.images and work < SHORT_WORK * self.seconds:
            return 0.0
        return max(self.seconds, MAX_SHARE * work)


class _Trial:
    """Builds engines, and compares their logits with those of the float32 network."""

    def __init__(self, work: Workload, sample: NDArray[np.uint8], listen: Callable[[Event], object]) -> None:
        self.work, self.sample, self.listen = work, sample, listen
        self.eager: Engine = CANDIDATES[0].make(work)
        self.reference = self.eager.logits(sample)

    def build(self, row: Candidate) -> tuple[Engine | None, EngineRow]:
        """The engine of a row, unless it cannot be built or disagrees."""
        if row.name == EAGER:
            return self.eager, EngineRow(EAGER)
        try:
            self.listen(Activity(f"preparing {row.name}"))
            engine = row.make(self.work)
            agreement = compare_logits(engine.logits(self.sample), self.reference, row.precision)
        except Exception as error:  # no package, no compiler, a missing operator: each raises its own
            return None, EngineRow(row.name, reason=one_line(error))
        outcome = EngineRow(row.name, difference=agreement.difference, same_top1=agreement.same_top1)
        if agreement.is_good:
            return engine, outcome
        return None, replace(outcome, reason=agreement.objection)


def _known(trial: _Trial, rows: Sequence[Candidate], table: EngineTable | None) -> ChosenEngine | None:
    """The engine that was the fastest in an earlier process, if it can be built and agrees."""
    row = next((row for row in rows if table and row.name == table.fastest), None)
    if row is None or table is None:
        return None
    engine, _ = trial.build(row)
    return ChosenEngine(engine, replace(table, is_earlier=True)) if engine else None


def _measured(trial: _Trial, rows: Sequence[Candidate], subject: str, budget: _Budget) -> ChosenEngine:
    """Build, compare and time the engines, as far as the budget reaches."""
    began, work = time.perf_counter(), trial.work
    eager_seconds = timing.seconds_of(lambda: trial.eager.logits(trial.sample)) / len(trial.sample)
    limit = budget.limit(eager_seconds)
    if not limit:
        rate = EngineRow(EAGER, 1 / eager_seconds)
        return ChosenEngine(trial.eager, EngineTable(subject, work.batch_size, EAGER, (rate,), is_short=True))
    trial.listen(Activity(f"measuring engines: about {limit:.0f} s"))
    engines: dict[str, Engine] = {}
    table: dict[str, EngineRow] = {}
    is_whole = True  # only what takes long was left out, so that a later process need not try again
    for row in rows:
        needed, left = row.build_seconds(work.network), limit * BUILD_SHARE - (time.perf_counter() - began)
        if needed > left and row.name != EAGER:
            table[row.name] = EngineRow(
                row.name, reason=f"not tried: it takes about {needed:.0f} s to prepare"
            )
            is_whole = is_whole and needed > limit / 2
            continue
        engine, table[row.name] = trial.build(row)
        if engine is not None:
            engines[row.name] = engine
    batch = _tiled(trial.sample, _timed_count(work.batch_size, limit, eager_seconds))
    fastest, rates, is_certain = _time(engines, batch, limit - (time.perf_counter() - began))
    filled = tuple(replace(row, images_per_second=rates.get(name, 0.0)) for name, row in table.items())
    measured = EngineTable(subject, work.batch_size, fastest, filled, is_unsure=not is_certain)
    if is_certain and is_whole:
        save_measurement(measured)
    return ChosenEngine(engines[fastest], measured)


def _time(
    engines: dict[str, Engine], batch: NDArray[np.uint8], seconds: float
) -> tuple[str, dict[str, float], bool]:
    """Name of the fastest engine, images per second of each, and whether there was time to be certain."""
    began = time.perf_counter()
    steps = {name: partial(engine.logits, batch) for name, engine in engines.items()}
    prepared = {name: timing.seconds_of(step) for name, step in steps.items()}  # for this batch size
    once = {name: timing.seconds_of(step) for name, step in steps.items()}
    best = min(once.values())
    rivals = {name: step for name, step in steps.items() if once[name] <= MAX_RATIO * best}
    left = seconds - (time.perf_counter() - began)
    timed = timing.time_in_turns(rivals, worth=MIN_SPEEDUP, limit=lambda _: left)
    if timed.is_answer:
        rates = {name: len(batch) / each for name, each in once.items()} | timed.rates(len(batch))
        return timing.fastest(timed.turns, worth=MIN_SPEEDUP), rates, True
    rates = {
        name: len(batch) / min(prepared[name], each, timed.first.get(name, each), *timed.turns.get(name, ()))
        for name, each in once.items()
    }
    likely = next(name for name, rate in rates.items() if rate * UNSURE_SPEEDUP >= max(rates.values()))
    return likely, rates, False


def _timed_count(batch_size: int, limit: float, eager_seconds: float) -> int:
    """Views of a timed batch: those of the work, or fewer where they would take too long."""
    return min(batch_size, max(MIN_VIEWS, int(limit / TIMED_BATCHES / eager_seconds)))


def _workload(network: Network, batch_size: int) -> Workload:
    """What engines are built for: the network where it is, with torch's threads."""
    device = next(network.parameters()).device
    return Workload(network, str(device), torch_threads(), batch_size)


def _tiled(views: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """As many views, repeated where there are fewer."""
    return np.resize(views, (count, *views.shape[1:]))


def _sample(views: NDArray[np.uint8], network: Network) -> NDArray[np.uint8]:
    """The views on which engines must agree; noise where there are none."""
    if len(views):
        return views[:SAMPLE]
    preprocess = network.preprocess
    shape = (SAMPLE, preprocess.channels, preprocess.size, preprocess.size)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
