"""OpenVINO without its telemetry: whatever uses OpenVINO or NNCF imports it from here; it needs no torch.

Importing OpenVINO, and every conversion after that, sends an event to a server on the internet and writes an
identifier to the home folder of the user. Both packages leave that out where `openvino_telemetry` cannot be
imported.
"""

import sys
from typing import Any


def import_openvino() -> Any:
    """The module `openvino`, which sends nothing.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    switch_telemetry_off()
    import openvino

    return openvino


def switch_telemetry_off() -> None:
    """Make `import openvino_telemetry` fail in this process, unless somebody imported it before."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
