"""ONNX Runtime and OpenVINO compute a file or a model in memory, without torch."""

import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from small_model import READS, WITH_MEAN_IMAGE, expected, onnx_model, views

from residua.errors import CheckpointError, ConfigError
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
from residua.predict.engines.openvino import OpenVinoEngine
from residua.predict.openvino_package import openvino_core

WAYS = {
    "onnxruntime": lambda model, reads: OnnxRuntimeEngine(model, reads, threads=2),
    "onnxruntime, split": lambda model, reads: OnnxRuntimeEngine(model, reads, threads=3, split=True),
    "openvino": OpenVinoEngine,
    "openvino, for batches of 2": partial(OpenVinoEngine, batch_size=2),
    "openvino, throughput": lambda model, reads: OpenVinoEngine(model, reads, hint="throughput"),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(onnx_model())
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reads", [READS, WITH_MEAN_IMAGE], ids=["mean and std", "mean image"])
def test_an_engine_normalises_views_and_computes_their_logits_in_order(way, reads, model):
    engine = WAYS[way](model, reads)
    for count in (1, 2, 7, 3):
        pixels = views(count)
        logits = engine.logits(pixels)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected(pixels, reads), rtol=1e-4, atol=1e-4)


def test_earlier_logits_stay_when_the_next_are_computed(model):
    for way in WAYS.values():
        engine = way(model, READS)
        first = engine.logits(views(4))
        before = first.copy()
        engine.logits(views(5)[:4])
        np.testing.assert_array_equal(first, before)


def test_models_in_memory_are_taken_too(model):
    import openvino

    pixels = views(2)
    in_memory = openvino_core().read_model(str(model))
    for engine in (OnnxRuntimeEngine(model.read_bytes(), READS), OpenVinoEngine(in_memory, READS)):
        np.testing.assert_allclose(engine.logits(pixels), expected(pixels, READS), rtol=1e-4, atol=1e-4)
    assert in_memory.input(0).element_type == openvino.Type.f32


def test_a_model_that_reads_images_gets_them_as_they_are(model):
    from residua.predict.engines.normalise import normalise_views

    inputs = normalise_views(views(3), READS)
    for make in (OnnxRuntimeEngine, OpenVinoEngine):
        logits = make(model, None).logits(inputs)
        np.testing.assert_allclose(logits, expected(views(3), READS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [OnnxRuntimeEngine, OpenVinoEngine])
def test_a_damaged_file_is_an_error_of_one_line_that_names_it(make, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(onnx_model()[:40])
    with pytest.raises(CheckpointError, match=r"broken\.onnx") as caught:
        make(path, READS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "package"), [(OnnxRuntimeEngine, "onnxruntime"), (OpenVinoEngine, "openvino")]
)
def test_a_runtime_that_is_not_installed_is_named_with_its_extra(make, package, model, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match="residua"):
        make(model, READS)


def test_files_are_computed_without_torch_and_without_a_connection(model):
    code = f"""
import socket, sys
sys.modules["torch"] = None
def refuse(*_): raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
from residua.predict.engines.openvino import OpenVinoEngine
from residua.spec.preprocess import Preprocess
reads = Preprocess(8, 8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
pixels = np.zeros((2, 3, 8, 8), np.uint8)
one, other = (make({str(model)!r}, reads).logits(pixels) for make in (OnnxRuntimeEngine, OpenVinoEngine))
assert np.allclose(one, other, atol=1e-4), (one, other)
assert not [name for name, module in sys.modules.items() if "telemetry" in name.split(".")[0] and module]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


SIGNALS = """
import signal, sys
import numpy as np
from residua.predict.engines.openvino import OpenVinoEngine
from residua.spec.preprocess import Preprocess

reads = Preprocess(8, 8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
engines = [OpenVinoEngine(sys.argv[1], reads) for _ in range(3)]
while engines:
    engines.pop(0).logits(np.zeros((2, 3, 8, 8), np.uint8))
signal.signal(signal.SIGUSR1, lambda *_: print("a handler ran"))
signal.raise_signal(signal.SIGUSR1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")
def test_that_a_signal_is_handled_after_engines_were_deleted(model):
    command = [sys.executable, "-c", SIGNALS, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "a handler ran"), done.stderr
