"""Inference speed of our chosen engine beside what people tune by hand, in images per second on this machine.

Ours takes uint8 views and normalises them; it is chosen before the turns, as `residua predict --engine auto`
does. Peers take inputs that are normalised already, which saves them that work. Their networks are
torchvision's, or timm's, or ours where neither has one: eager in both memory formats, inductor with frozen
weights, ONNX Runtime, and OpenVINO with both hints, all in float32. The ceiling is oneDNN's convolutions of
the network in the precision of our engine, with weights reordered beforehand. With `--store FILE` finished
rows are kept, and a run can be continued.
"""

import argparse
import copy
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import turns
from torch import Tensor, nn

import residua
from residua.nn.network import Network
from residua.predict.engines.choose import measure_engines
from residua.predict.engines.folding import fold_norms
from residua.predict.openvino_package import import_openvino, openvino_core

NETS = ("resnet18", "resnet50", "iresnet50", "preresnet50", "cifar_resnet110")
BATCHES = (1, 4, 16)
TIMM = {"preresnet50": "resnetv2_50"}
"""Ours -> the same network of timm."""
OURS, EAGER, CEILING = "residua", "eager", "its convolutions alone"
TURN_SECONDS = 0.3
"""Shortest turn: a quick batch is computed several times."""
Compute = Callable[[], object]


def peer_network(name: str) -> tuple[str, nn.Module]:
    """The same network of another library, or ours where there is none."""
    from torchvision import models

    if name in TIMM:
        from timm import create_model

        return f"timm's {TIMM[name]}", create_model(TIMM[name]).eval()
    if name in models.list_models():
        return f"torchvision's {name}", models.get_model(name).eval()
    return f"{name} of residua", residua.create_model(name).eval()


def onnx_of(network: nn.Module, side: int) -> bytes:
    """The network as torch's exporter writes it, with a free batch."""
    example, free = torch.randn(2, 3, side, side), torch.export.Dim("n", min=1)
    program = torch.onnx.export(
        network, (example,), dynamo=True, dynamic_shapes=({0: free},), opset_version=18, verbose=False
    )
    stream = io.BytesIO()
    program.save(stream)
    return stream.getvalue()


def onnxruntime_peer(model: bytes, inputs: Tensor) -> Compute:
    """A session with one thread for each core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    fed = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, fed)


def openvino_peer(model: bytes, inputs: Tensor, hint: str) -> Compute:
    """A compiled model of fixed shape: the batch as one request, or for throughput each image as one."""
    library = import_openvino()
    core, arrays = openvino_core(), inputs.numpy()
    parts = [arrays] if hint == "LATENCY" else [*arrays[:, None]]
    network = core.read_model(model)
    network.reshape([*parts[0].shape])
    settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
    queue = library.AsyncInferQueue(core.compile_model(network, "CPU", settings))

    def compute() -> None:
        for part in parts:
            queue.start_async([part], share_inputs=True)
        queue.wait_all()

    return compute


def torch_peer(network: nn.Module, inputs: Tensor) -> Compute:
    """A network of torch as it is."""

    def compute() -> None:
        with torch.inference_mode():
            network(inputs)

    return compute


def inductor_peer(network: nn.Module, inputs: Tensor) -> Compute:
    """The network compiled for this batch, with frozen weights."""
    compiled = torch.compile(copy.deepcopy(network), dynamic=False, options={"freezing": True})

    @torch.no_grad()
    def compute() -> None:
        compiled(inputs)

    return compute


def convolutions_alone(network: Network, inputs: Tensor, dtype: torch.dtype) -> Compute:
    """oneDNN's convolutions of the network, in channels_last, with weights in the order that it prefers."""
    calls: list[Callable[[], object]] = []

    def note(layer: nn.Conv2d, args: tuple[Tensor, ...], _: Tensor) -> None:
        shape = args[0].shape
        weight = layer.weight.detach().to(dtype)
        form = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *form, list(shape))
        x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
        bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        calls.append(lambda: torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *form, "none", [], ""))

    folded, _ = fold_norms(network)
    for layer in folded.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    with torch.no_grad():
        folded(inputs)

    @torch.no_grad()
    def compute() -> None:
        for call in calls:
            call()

    return compute


def rate(compute: Compute, batch: int) -> float:
    """Images per second of one turn."""
    began, count = time.perf_counter(), 0
    while (lasted := time.perf_counter() - began) < TURN_SECONDS:
        compute()
        count += batch
    return count / lasted


def sides_of(name: str, batch: int, args: argparse.Namespace) -> tuple[str, dict[str, Compute]]:
    """What ours is called here, and what each side computes."""
    torch.manual_seed(0)
    network = residua.create_model(name).eval()
    side = network.preprocess.size
    views = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), np.uint8)
    inputs = torch.randn(batch, 3, side, side)
    chosen = measure_engines(network, views, batch_size=batch, seconds=args.choose_seconds).engine
    precision = torch.bfloat16 if "bfloat16" in chosen.name else torch.float32
    peer_name, peer = peer_network(name)
    model = onnx_of(peer, side)
    last = {"memory_format": torch.channels_last}
    sides = {
        OURS: lambda: chosen.logits(views),
        CEILING: convolutions_alone(network, inputs, precision),
        EAGER: torch_peer(peer, inputs),
        "channels_last": torch_peer(copy.deepcopy(peer).to(**last), inputs.contiguous(**last)),
        "ONNX Runtime": onnxruntime_peer(model, inputs),
        "OpenVINO latency": openvino_peer(model, inputs, "LATENCY"),
    }
    if batch > 1:
        sides["OpenVINO throughput"] = openvino_peer(model, inputs, "THROUGHPUT")
    if not args.no_inductor:
        sides["inductor frozen"] = inductor_peer(peer, inputs)
    return f"{name} (engine {chosen.name}, peers: {peer_name})", sides


def rows_of(name: str, batch: int, args: argparse.Namespace) -> Iterator[turns.Row]:
    """Ours beside each peer."""
    what, sides = sides_of(name, batch, args)
    session = turns.Session(args.rounds, 0.0, 0.0)
    timed = {side: (lambda compute=compute: rate(compute, batch)) for side, compute in sides.items()}
    measured = session.take_turns(timed, unit="images/s")
    for peer in [side for side in sides if side not in (OURS, CEILING)]:
        yield turns.row_of_rounds(
            f"{what}, batch {batch}", measured, OURS, peer, unit="images/s", ceiling=CEILING, digits=1
        )
    measured.stop()


def rows(args: argparse.Namespace) -> turns.Rows:
    """All rows; those of an earlier run with the same store are taken from there."""
    kept = json.loads(args.store.read_text()) if args.store and args.store.exists() else {}
    for name in args.nets:
        for batch in args.batches:
            key = f"{name} {batch}"
            if key not in kept:
                torch.compiler.reset()
                kept[key] = [*rows_of(name, batch, args)]
                if args.store:
                    args.store.write_text(json.dumps(kept))
            yield from kept[key]


def main() -> None:
    """Print the comparison."""
    parser = turns.parser(__doc__, rounds=5)
    parser.add_argument("--nets", nargs="+", default=[*NETS], choices=NETS)
    parser.add_argument("--batches", nargs="+", type=int, default=[*BATCHES])
    parser.add_argument("--choose-seconds", type=float, default=20.0, help="for choosing; by default 20")
    parser.add_argument("--no-inductor", action="store_true", help="leave out what is compiled for minutes")
    parser.add_argument("--store", type=Path, metavar="FILE", help="keep finished rows, and continue there")
    args = parser.parse_args()
    turns.show(rows(args), "torchvision", "timm", "onnxruntime", "openvino", as_json=args.json)


if __name__ == "__main__":
    main()
