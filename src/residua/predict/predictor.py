"""Predictor: a trained network with its preprocessing and class names, on a device, in a precision.

Each task has one: `Classifier` for images, `ClipPredictor` for videos, `BoxPredictor` for objects in images.
Commands, evaluations and the Python API hold a Predictor and no other form of a trained network. What all
predictors share is here: which file of a run is read, which arithmetic is used, and how pixels become
inputs and logits.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from residua.data.resident import to_device
from residua.data.transforms import normalise
from residua.errors import CheckpointError, ConfigError, DataError
from residua.events import Activity, Event, Note
from residua.nn.clips import layout
from residua.nn.device import place_network, resolve_device, torch_threads
from residua.nn.network import Network
from residua.nn.summary import describe_classes
from residua.predict import folder
from residua.runs import checkpoint
from residua.runs.checkpoint import WeightsName
from residua.runs.run import RECIPE, Run
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan
from residua.weights.store import is_ours

LOG = logging.getLogger("residua")
"""Where a program finds what was downloaded and assumed, at level INFO."""
Precision = Literal["float32", "bfloat16", "auto"]
"""Type of the activations; `auto` is what the run's plan measured, where it used the same kind of device."""

_at_fork = getattr(os, "register_at_fork", None)
if _at_fork:  # torch's threads do not exist in a forked process, which would wait for them for ever
    _at_fork(after_in_child=lambda: torch.set_num_threads(1))

InputT = TypeVar("InputT", contravariant=True)
OutputT = TypeVar("OutputT")
ResultT = TypeVar("ResultT")
NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Predictor(Protocol[InputT, OutputT]):
    """A trained network that takes files, pictures or arrays and returns predictions."""

    @property
    def plan(self) -> Plan:
        """The device, the memory format and the precision in which it computes."""

    @property
    def weights(self) -> str:
        """Which weights it has: `raw`, `ema` or `best`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""

    def __call__(self, item: InputT, /) -> OutputT:
        """The prediction for one input. DataError when it cannot be read."""

    def many(self, items: Iterable[InputT], /) -> list[OutputT]:
        """The predictions for several inputs, in order. DataError when one cannot be read."""


def load_predictor(
    path: str | Path,
    read: Callable[[Path, WeightsName], tuple[NetworkT, str]],
    *,
    weights: str = "auto",
    device: str = "auto",
    precision: str = "float32",
) -> tuple[NetworkT, Plan, str]:
    """Read a trained network and place it: the only way from a path to a network that predicts.

    Args:
        path: A run directory, a saved folder or a checkpoint file.
        read: Builds the network of the task from the path; see `read_classifier`.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        The network in eval mode on the device, the plan by which it computes, and which weights it has.

    Raises:
        CheckpointError: There is no network, or a byte of it changed since it was written.
        ConfigError: The device or the precision cannot be used here.
    """
    plan = inference_plan(Path(path), device=device, precision=precision)
    network, loaded = read(Path(path), _weights_name(weights))
    return place_network(network, plan).eval(), plan, loaded


def describe_predictor(name: str, network: Any, plan: Plan, weights: str) -> str:
    """A predictor on one line: `Classifier(resnet18: 3 classes (ant, bee, cat), 224 x 224 rgb; ...)`.

    Args:
        name: Name of the predictor's class.
        network: With `arch`, `preprocess` and `class_names`.
        plan: Device and precision.
        weights: Which weights it has.
    """
    preprocess = network.preprocess
    size = f"{preprocess.size} x {preprocess.size} {preprocess.colour}"
    outputs = describe_classes(network.class_names, network.arch.classes)
    place = f"{plan.device}, {plan.precision}, {weights} weights"
    return f"{name}({network.arch.name}: {outputs}, {size}; {place})"


def predict_files(
    predict: Callable[[Sequence[Any]], list[ResultT]], files: Sequence[Any], *, batch_size: int
) -> Iterator[ResultT | DataError]:
    """Predict files in batches; a file that cannot be read does not stop the others.

    Args:
        predict: `many` of a Predictor.
        files: The inputs: paths, and of some predictors bytes or pictures.
        batch_size: Files that are predicted at once.

    Yields:
        For each file, in order, its prediction, or the error that names it.
    """
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        try:
            yield from predict(batch)
        except DataError as error:
            if len(batch) == 1:
                yield error
            else:
                yield from predict_files(predict, batch, batch_size=1)


def network_digest(network: nn.Module) -> str:
    """SHA-256 of the names and values of all weights, in hexadecimal."""
    from residua.predict.export.graph import weights_digest  # few commands need it

    return weights_digest(network)


def inference_plan(path: Path, *, device: str = "auto", precision: str = "float32") -> Plan:
    """The plan by which the network at `path` predicts, without measuring anything; see `load_predictor`.

    Args:
        path: A run directory, a saved folder or a checkpoint file; only `auto` precision reads it.
        device: A device of torch, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16` or `auto`. `auto` is `bfloat16` where the plan of a run chose it on
            the same kind of device, else `float32`.

    Returns:
        Device, precision, the memory format channels_last, and torch's number of threads.

    Raises:
        ConfigError: The device or the precision cannot be used here, or the recipe of the run is damaged.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"no precision {precision!r}: give {', '.join(get_args(Precision))}")
    target = resolve_device(device)
    chosen: Literal["float32", "bfloat16"] = "bfloat16" if precision == "bfloat16" else "float32"
    if precision == "auto" and (path / RECIPE).is_file():
        measured = Run(path).recipe.plan
        if measured.precision == "bfloat16" and measured.device.partition(":")[0] == target.type:
            chosen = "bfloat16"
    return Plan(str(target), "channels_last", chosen, torch_threads())


def load_network(path: Path) -> Network:
    """The classifying network at `path`, in eval mode on the CPU. CheckpointError when there is none."""
    return read_classifier(path, "auto")[0]


def read_classifier(path: Path, weights: WeightsName) -> tuple[Network, str]:
    """The classifying network at `path`, on the CPU, and which weights it has: `raw`, `ema` or `best`."""
    if path.is_dir() and folder.is_saved(path):
        if weights not in ("auto", "raw"):
            raise ConfigError(f"{path} is a saved folder with one set of weights, not {weights!r}: give auto")
        return folder.read(path), "raw"
    if not path.exists() or (path.is_file() and not is_ours(path)):
        from residua.weights import fill, named  # only weights of others need it

        if path.exists() or named.is_trained(str(path)):
            if weights not in ("auto", "raw"):
                raise ConfigError(f"{path} is one set of weights, not {weights!r}: give auto")
            return fill.trained_network(str(path), listen=_log), "raw"
    return checkpoint.load_weights(weights_path(path, weights), weights)


def _log(event: Event) -> None:
    if isinstance(event, Note | Activity):
        LOG.info("%s", event.text)


def weights_path(path: Path, weights: WeightsName) -> Path:
    """The file of the run at `path` that holds those `weights`; a file as it is.

    Raises:
        CheckpointError: The run has no such weights, or as `Run.check_files`.
    """
    if not path.is_dir():
        return path
    run = Run(path)
    run.check_files()
    states = run.checkpoints
    if weights == "best" or (weights == "auto" and checkpoint.chooses_weights(run)):
        if not (states / checkpoint.BEST).exists():
            raise CheckpointError(
                f"{path} holds no best weights: no epoch is evaluated yet, or the file is lost"
            )
        return states / checkpoint.BEST
    state = checkpoint.load_last(states)
    if state is None:
        raise CheckpointError(
            f"{path} holds no training state: give a run that has been trained, or a saved folder"
        )
    return state.path


def network_inputs(pixels: Tensor, preprocess: Preprocess, plan: Plan) -> Tensor:
    """(n, C, ..., H, W) uint8 pixels -> normalised float inputs, on the plan's device, in its format.

    Args:
        pixels: Images (n, C, H, W) or clips (n, C, T, H, W), uint8, on the CPU.
        preprocess: Mean and standard deviation of each channel, or a mean image.
        plan: Device and memory format; its precision is not applied here.

    Returns:
        The same shape, float32.
    """
    inputs = normalise(to_device(pixels, torch.device(plan.device)), preprocess)
    return inputs.contiguous(memory_format=layout(plan.memory_format, inputs.ndim))


def autocast(plan: Plan) -> torch.autocast:
    """A context in which layers compute in the plan's precision."""
    device = torch.device(plan.device).type
    return torch.autocast(device, torch.bfloat16, enabled=plan.precision == "bfloat16")


def compute_logits(network: Network, pixels: Tensor, plan: Plan) -> Tensor:
    """Logits of images or clips of any size.

    Args:
        network: In eval mode, placed as `plan` says.
        pixels: (n, C, H, W) or, of clips, (n, C, T, H, W), uint8, on the CPU.
        plan: Device, memory format and precision.

    Returns:
        (n, classes) float32 on the plan's device. Images of another size than the network's are averaged over
        all places where the head fits.

    Raises:
        DataError: `pixels` are empty, or not uint8.
    """
    if pixels.dtype != torch.uint8 or not pixels.numel():
        kind = str(pixels.dtype).partition(".")[2]
        raise DataError(f"pixels are {kind} of shape {tuple(pixels.shape)}: give uint8, and none of size 0")
    preprocess = network.preprocess
    inputs = network_inputs(pixels, preprocess, plan)
    is_native = tuple(inputs.shape[-2:]) == (preprocess.size, preprocess.size)
    with torch.inference_mode(), autocast(plan):
        outputs: Tensor = network(inputs) if is_native else dense_logits(network, inputs)
        return outputs.float()


def dense_logits(network: Network, inputs: Tensor) -> Tensor:
    """(N, C, H, W) of any size -> logits (N, classes) averaged over all places where the head fits.

    A head that averages the whole map is linear, so the average may be taken first (He et al. 2015, 3.4). A
    head that reads a grid of cells moves over the map step by step, as a convolution would.
    """
    maps, grid = network.forward_features(inputs), network.arch.head.grid
    if grid == 1:
        return network.forward_head(maps)
    size, channels = network.preprocess.size, network.preprocess.channels
    side = network.forward_features(inputs.new_zeros(1, channels, size, size)).shape[-1]
    if min(maps.shape[-2:]) < side:
        return network.forward_head(maps)
    count, width = maps.shape[:2]
    windows = unfold(maps, side).view(count, width, side, side, -1)
    cells = windows.permute(0, 4, 1, 2, 3).reshape(-1, width, side, side)
    return network.forward_head(cells).view(count, -1, network.arch.classes).mean(1)


def _weights_name(name: str) -> WeightsName:
    for known in get_args(WeightsName):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"no weights {name!r}: give {', '.join(get_args(WeightsName))}")
