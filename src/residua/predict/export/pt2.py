"""A network as an archive of torch: the graph alone (`pt2`), or compiled for this processor (`pt2-aoti`).

Both are zip files with the facts at `*/extra/residua`, which is read without torch. torch loads either with
the rights of the process: `torch.export.load` may unpickle what is in an archive, and a compiled one holds
machine code. So no command of residua loads such a file; programs load those that they trust.
"""

import platform
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from residua.errors import CheckpointError, ConfigError
from residua.nn.processor import processor_flags
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.graph import Compute, ExportGraph, without_warnings

if TYPE_CHECKING:
    import numpy as np

MAX_FACTS = 1 << 26
"""Most bytes of facts that are read: a mean image is a part of them."""
_ENTRY = f"/extra/{KEY}"
_INSTRUCTIONS = (
    *("sse", "ssse", "avx", "fma", "f16c", "bmi", "abm", "popcnt", "movbe", "adx", "aes", "sha", "gfni"),
    *("pclmul", "pku", "amx"),
)
"""How flags of x86 begin that stand for instructions which a compiler emits for `-march=native`."""


def write_pt2(graph: ExportGraph, file: Path) -> None:
    """Write a graph as torch.export saves it."""
    with without_warnings():
        torch.export.save(graph.program, file, extra_files={KEY: graph.facts.to_text()})


def load_pt2(path: Path) -> Compute:
    """The graph in an archive that is trusted, ready to compute on the CPU.

    Raises:
        CheckpointError: torch cannot read it.
    """
    try:
        module = torch.export.load(path).module()
    except Exception as error:  # a zip file of anything raises anything
        cause = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} cannot be read by torch ({cause}): export it again") from None
    return _computing(module)


def write_compiled(graph: ExportGraph, file: Path) -> None:
    """Compile a graph for this processor and write the package.

    Args:
        graph: What is compiled; it takes a minute or more.
        file: A path that ends in .pt2.

    Raises:
        ConfigError: There is no C++ compiler.
    """
    check_compiler()
    with without_warnings():
        torch._inductor.aoti_compile_and_package(graph.program, package_path=str(file))
    facts = graph.facts.changed(machine=this_machine())
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(zipfile.ZipInfo(f"{root}{_ENTRY}"), facts.to_text())


def load_compiled(path: Path) -> Compute:
    """The machine code in a package, which runs with the rights of this process.

    Raises:
        CheckpointError: It was compiled for another processor or another torch, or is damaged.
    """
    check_machine(read_facts(path), path=path)
    try:
        return _computing(torch._inductor.aoti_load_package(str(path)))
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} cannot be loaded by torch ({cause}): export it again") from None


def read_facts(path: Path) -> ExportFacts:
    """The facts of either archive, without loading what else is in it.

    Raises:
        CheckpointError: It is no archive, or says nothing of itself.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(_ENTRY))
            with archive.open(name) as entry:
                text = entry.read(MAX_FACTS).decode()
    except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError, NotImplementedError, RuntimeError):
        raise CheckpointError(f"{path} is no archive that `residua export` wrote: export it again") from None
    return ExportFacts.from_text(text, path=path)


def check_machine(facts: ExportFacts, *, path: Path) -> None:
    """Check that machine code can run here, before any of it does.

    Raises:
        CheckpointError: It needs another version of torch, or instructions that this processor lacks.
    """
    needed, here = facts.machine.split(), this_machine().split()
    if missing := [name for name in needed if name not in here]:
        lacks = " ".join(missing[:5])
        raise CheckpointError(f"{path} is machine code and needs {lacks}: export it again on this machine")


def this_machine() -> str:
    """What compiled code depends on: version of torch, system, architecture and instruction sets."""
    flags = processor_flags().split()
    if platform.machine() in ("x86_64", "AMD64"):
        flags = [flag for flag in flags if flag.removeprefix("v").startswith(_INSTRUCTIONS)]
    return " ".join([f"torch-{torch.__version__}", platform.system(), platform.machine(), *flags])


def check_compiler() -> None:
    """ConfigError where torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ConfigError("pt2-aoti needs a C++ compiler: install g++, or give --to pt2") from None


def _computing(module: Any) -> Compute:
    def compute(arrays: "NDArray[Any]") -> "NDArray[np.float32]":
        with torch.no_grad():
            logits: NDArray[np.float32] = module(torch.from_numpy(arrays)).numpy()
            return logits

    return compute
