"""OpenVINO sends nothing, writes nothing to the user's home, and has one Core."""

import subprocess
import sys
from pathlib import Path

import pytest

from residua.predict.openvino_package import import_openvino, only_one_core, openvino_core

pytest.importorskip("openvino")

CODE = """
import sys
from residua.predict.openvino_package import import_openvino

openvino = import_openvino()
from openvino.tools.ovc.telemetry_utils import init_ovc_telemetry
init_ovc_telemetry().send_event("tests", "tests", "tests")
print(*(name for name in sys.modules if name.startswith("openvino_telemetry.")))
"""


def test_that_importing_openvino_loads_no_telemetry_and_leaves_the_home_folder_empty(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
    assert not [*tmp_path.iterdir()]


def test_that_within_one_core_nothing_makes_another() -> None:
    openvino = import_openvino()
    kind = openvino.Core
    with only_one_core():
        assert openvino.Core() is openvino_core()
    assert openvino.Core is kind
