"""Speed of int8 beside float32, and beside bfloat16 where the processor has units, in images per second.

One network, quantised as `residua export --int8` does it, in both runtimes; weights are random and the images
to calibrate are noise, because only speed is measured: docs/how-to/int8.md says what accuracy int8 costs. All
models are in one process and take turns. Rows compare the faster int8 with the faster float32 model, round by
round, and with OpenVINO in bfloat16.
"""

import argparse
import time
from functools import partial
from typing import Any

import numpy as np
import torch
import turns
from numpy.typing import NDArray

import residua
from residua.data.images import Images
from residua.nn.processor import has_bfloat16_units
from residua.predict.engines.engine import Engine
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
from residua.predict.engines.openvino import OpenVinoEngine
from residua.predict.export.graph import export_graph
from residua.predict.export.int8 import Int8Data
from residua.predict.export.int8_onnx import OnnxQuantiser
from residua.predict.export.int8_openvino import OpenVinoQuantiser
from residua.predict.export.onnx import onnx_bytes
from residua.predict.export.openvino import convert_to_openvino

NETS = ("resnet50", "resnet18", "cifar_resnet56", "cifar_resnet20")
BATCHES = (1, 16)
TURN_SECONDS = 0.5
"""Shortest turn."""
INT8 = ("ONNX Runtime int8", "OpenVINO int8")
FLOAT32 = ("ONNX Runtime float32", "OpenVINO float32")
BFLOAT16 = "OpenVINO bfloat16"


def noise(count: int, side: int) -> Images:
    """Images without a meaning."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return Images("noise", ("a", "b"), np.arange(count) % 2, pixels=pixels)


def engines_of(name: str, batch: int) -> dict[str, Engine]:
    """The models of a network, each ready to compute."""
    torch.manual_seed(0)
    network = residua.create_model(name).eval()
    graph, reads = export_graph(network), network.preprocess
    data = Int8Data.of(graph.facts, noise(32, reads.size), noise(8, reads.size))
    file, model = onnx_bytes(network), convert_to_openvino(graph)
    in_onnx, in_openvino = OnnxQuantiser(file, data), OpenVinoQuantiser(model, data)
    threads = torch.get_num_threads()

    def openvino(source: Any, **options: Any) -> Engine:
        return OpenVinoEngine(source, reads, threads=threads, batch_size=batch, **options)

    int8 = in_openvino.quantised(in_openvino.operations, data.calibration_arrays())
    engines = {
        INT8[0]: OnnxRuntimeEngine(
            in_onnx.quantised(in_onnx.operations, data.calibration_arrays()), reads, threads=threads
        ),
        INT8[1]: openvino(int8),
        FLOAT32[0]: OnnxRuntimeEngine(file, reads, threads=threads),
        FLOAT32[1]: openvino(model),
    }
    if has_bfloat16_units():
        engines[BFLOAT16] = openvino(model, precision="fastest")
    return engines


def rate(engine: Engine, views: NDArray[np.uint8]) -> float:
    """Images per second of one turn."""
    began, count = time.perf_counter(), 0
    while (lasted := time.perf_counter() - began) < TURN_SECONDS:
        engine.logits(views)
        count += len(views)
    return count / lasted


def rows(args: argparse.Namespace) -> turns.Rows:
    """Of each network and batch size."""
    for name in args.nets:
        for batch in args.batches:
            engines = engines_of(name, batch)
            side = residua.create_model(name).preprocess.size
            views = np.random.default_rng(1).integers(0, 256, (batch, 3, side, side), np.uint8)
            session = turns.Session(args.rounds, 0.0, 0.0)
            sides = {what: partial(rate, engine, views) for what, engine in engines.items()}
            measured = session.take_turns(sides, unit="images/s")
            best = max(INT8, key=measured.median)
            peers = [max(FLOAT32, key=measured.median), *([BFLOAT16] if BFLOAT16 in engines else [])]
            for peer in peers:
                yield turns.row_of_rounds(
                    f"{name}, batch {batch}: {best}", measured, best, peer, unit="images/s", digits=1
                )
            measured.stop()


def main() -> None:
    """Print the comparison."""
    parser = turns.parser(__doc__, rounds=7)
    parser.add_argument("--nets", nargs="+", default=[*NETS])
    parser.add_argument("--batches", nargs="+", type=int, default=[*BATCHES])
    args = parser.parse_args()
    turns.show(rows(args), "onnxruntime", "openvino", "nncf", as_json=args.json)


if __name__ == "__main__":
    main()
