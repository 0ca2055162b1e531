"""The table of engines: each with its name, its precision, where it applies, and how it is built."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from residua.nn.network import Network
from residua.nn.processor import has_bfloat16_units
from residua.predict.engines.agreement import EnginePrecision
from residua.predict.engines.engine import Engine
from residua.predict.engines.exported_models import onnx_model
from residua.predict.engines.folding import fold_norms
from residua.predict.engines.inductor import MAX_AUTOTUNE, InductorEngine
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine, import_onnxruntime
from residua.predict.engines.openvino import OpenVinoEngine
from residua.predict.engines.torch_eager import TorchEngine
from residua.spec.recipe import Plan

EAGER = "torch"
"""Name of the engine that all others are compared with: the network as it is, in float32."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What an engine is built for."""

    network: Network
    """A network for images, in eval mode."""
    device: str
    """`cpu`, `cuda`, `cuda:1` or `mps`."""
    threads: int
    """Threads that compute on the CPU."""
    batch_size: int
    """Views that are computed at once."""

    def plan(
        self,
        precision: Literal["float32", "bfloat16"] = "float32",
        memory_format: Literal["contiguous", "channels_last"] = "channels_last",
    ) -> Plan:
        """A plan of torch on its device."""
        return Plan(self.device, memory_format, precision, self.threads)

    @property
    def is_on_cpu(self) -> bool:
        """Whether the CPU computes."""
        return self.device == "cpu"

    @property
    def splits(self) -> bool:
        """Whether several threads of the CPU can each compute a part of a batch."""
        return self.is_on_cpu and min(self.threads, self.batch_size) > 1

    @property
    def has_bfloat16(self) -> bool:
        """Whether the device has units for bfloat16."""
        return bool(has_bfloat16_units()) if self.is_on_cpu else self.device.startswith("cuda")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the table: an engine that may be tried."""

    name: str
    """As users write it: `onnxruntime`, `torch-folded`."""
    precision: EnginePrecision
    """In which it computes."""
    make: Callable[[Workload], Engine]
    """Builds it; raises where a package or a compiler is missing."""
    applies: Callable[[Workload], bool] = lambda _: True
    """Whether it can be faster than the others for a workload."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """Seconds that building it takes about, on two cores: for any network, and for each block of it."""

    def build_seconds(self, network: Network) -> float:
        """Seconds that building it takes about."""
        base, each = self.seconds
        return base + each * len(network.blocks())


def _eager(memory_format: Literal["contiguous", "channels_last"], name: str) -> Callable[[Workload], Engine]:
    return lambda work: TorchEngine(work.network, work.plan(memory_format=memory_format), name=name)


def _folded(precision: Literal["float32", "bfloat16"], name: str) -> Callable[[Workload], Engine]:
    return lambda work: TorchEngine(fold_norms(work.network)[0], work.plan(precision), name=name)


def _inductor(
    name: str, options: dict[str, Any], precision: Literal["float32", "bfloat16"] = "float32"
) -> Callable[[Workload], Engine]:
    return lambda work: InductorEngine(
        work.network, work.plan(precision), batch_size=work.batch_size, options=options, name=name
    )


def _onnxruntime(name: str, *, split: bool = False) -> Callable[[Workload], Engine]:
    def make(work: Workload) -> Engine:
        import_onnxruntime()  # before seconds are spent for the export
        model, reads = onnx_model(work.network), work.network.preprocess
        return OnnxRuntimeEngine(model, reads, threads=work.threads, split=split, name=name)

    return make


def _openvino(name: str, **options: Any) -> Callable[[Workload], Engine]:
    def make(work: Workload) -> Engine:
        reads = work.network.preprocess
        options.update(threads=work.threads, batch_size=work.batch_size)
        return OpenVinoEngine(onnx_model(work.network), reads, name=name, **options)

    return make


_EXPORT = (3.0, 0.15)
_READ = (1.0, 0.03)
_COMPILE = (5.0, 1.0)
CANDIDATES: tuple[Candidate, ...] = (
    Candidate(EAGER, "float32", _eager("channels_last", EAGER)),
    Candidate("torch-contiguous", "float32", _eager("contiguous", "torch-contiguous")),
    Candidate("torch-folded", "float32", _folded("float32", "torch-folded")),
    Candidate(
        "torch-bfloat16", "bfloat16", _folded("bfloat16", "torch-bfloat16"), lambda work: work.has_bfloat16
    ),
    Candidate("onnxruntime", "float32", _onnxruntime("onnxruntime"), lambda work: work.is_on_cpu, _EXPORT),
    Candidate(
        "onnxruntime-split",
        "float32",
        _onnxruntime("onnxruntime-split", split=True),
        lambda work: work.splits,
        _READ,
    ),
    Candidate("openvino", "float32", _openvino("openvino"), lambda work: work.is_on_cpu, _READ),
    Candidate(
        "openvino-throughput",
        "float32",
        _openvino("openvino-throughput", hint="throughput"),
        lambda work: work.splits,
        _READ,
    ),
    Candidate(
        "openvino-bfloat16",
        "bfloat16",
        _openvino("openvino-bfloat16", precision="fastest"),
        lambda work: work.is_on_cpu and work.has_bfloat16,
        _READ,
    ),
    Candidate("inductor", "float32", _inductor("inductor", {}), seconds=_COMPILE),
    Candidate(
        "inductor-frozen", "float32", _inductor("inductor-frozen", {"freezing": True}), seconds=_COMPILE
    ),
    Candidate(
        "inductor-bfloat16",
        "bfloat16",
        _inductor("inductor-bfloat16", {"freezing": True}, "bfloat16"),
        lambda work: work.has_bfloat16,
        _COMPILE,
    ),
    Candidate(
        "inductor-autotune",
        "float32",
        _inductor("inductor-autotune", MAX_AUTOTUNE),
        lambda work: not work.is_on_cpu,
        (30.0, 10.0),
    ),
)
"""From the simplest engine to the least simple: a later one must be measurably faster."""
