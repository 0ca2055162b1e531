"""NNCF quantises in silence: it prints nothing, sends nothing, and writes nothing to the user's home."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from colour_network import TEST, TRAIN, colour_network
from residua.predict.export.graph import export_graph
from residua.predict.export.int8 import Int8Data
from residua.predict.export.int8_openvino import OpenVinoQuantiser
from residua.predict.export.openvino import convert_to_openvino

CODE = """
import socket, sys
import numpy as np

def refuse(*arguments):
    raise AssertionError("a request to the network")
socket.socket.connect = socket.getaddrinfo = refuse

from residua.predict.export.int8_openvino import import_nncf
nncf = import_nncf()
from nncf.telemetry import telemetry
telemetry.start_session("tests")
telemetry.send_event("tests", "tests", "tests")
print(*(name for name in sys.modules if name.startswith("openvino_telemetry.")))
"""


def test_that_importing_nncf_loads_no_telemetry_and_leaves_the_home_folder_empty(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
    assert not [*tmp_path.iterdir()]


def test_that_quantising_prints_nothing_and_gives_weights_of_seven_bits(
    capfd: pytest.CaptureFixture[str],
) -> None:
    graph = export_graph(colour_network())
    data = Int8Data.of(graph.facts, TRAIN, TEST)
    quantiser = OpenVinoQuantiser(convert_to_openvino(graph), data)
    capfd.readouterr()
    model = quantiser.quantised(quantiser.operations, data.calibration_arrays())
    assert capfd.readouterr() == ("", "")
    stored = [
        each.get_data()
        for each in model.get_ordered_ops()
        if each.get_type_name() == "Constant" and each.get_element_type().get_type_name() == "i8"
    ]
    assert len(stored) == sum("convolution" in name or "linear" in name for name in quantiser.operations)
    assert all(np.abs(values.astype(int)).max() <= 64 for values in stored)
