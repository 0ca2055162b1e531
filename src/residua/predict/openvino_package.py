"""OpenVINO without its telemetry and with one Core: whatever uses OpenVINO or NNCF imports it from here.

Telemetry: importing OpenVINO, and every conversion after that, sends an event to a server on the internet and
writes an identifier to the home folder of the user. Both packages leave that out where `openvino_telemetry`
cannot be imported.

One Core: on Linux each Core gives the thread that first uses it a stack for signals, and puts the earlier one
back when it is deleted with its last model. Two Cores that are deleted in the order of their creation leave
the thread with a stack whose memory was given back. The next signal for which Python has a handler, Ctrl-C or
the end of a child process, is then written over whatever is there, or ends the process (seen with OpenVINO
2026.4). So a process has a single Core, which is never deleted. This file needs no torch.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


def import_openvino() -> Any:
    """The module `openvino`, which sends nothing.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    switch_telemetry_off()
    import openvino

    return openvino


def openvino_core() -> Any:
    """The Core of this process.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    return _core(import_openvino())


@lru_cache(maxsize=1)
def _core(openvino: Any) -> Any:
    return openvino.Core()


@contextmanager
def only_one_core() -> Iterator[None]:
    """Within it `openvino.Core()` is the Core of this process: NNCF asks for a new one for every model."""
    openvino, core = import_openvino(), openvino_core()
    new_core = openvino.Core
    openvino.Core = lambda: core
    try:
        yield
    finally:
        openvino.Core = new_core


def switch_telemetry_off() -> None:
    """Make `import openvino_telemetry` fail in this process, unless somebody imported it before."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
