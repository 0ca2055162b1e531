"""Versions, devices, decoders and speed of this machine."""

import io
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image, features

from residua.data.decode import decode
from residua.nn.network import build
from residua.nn.processor import processor_name
from residua.spec import zoo
from residua.spec.amount import quantity
from residua.spec.memory import Precision
from residua.training.plan import MAX_SAMPLE, Format, emulates_bfloat16, measure
from residua.training.processes import world

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "safetensors")
EXTRAS: Mapping[str, str] = {
    "av": "video",
    "pycocotools": "detect",
    "faster-coco-eval": "boxes",
    "timm": "optim",
    "pillow-heif": "images",
    "tensorboard": "track",
    "captum": "explain",
    "cairosvg": "figures",
    "fsspec": "shards",
    "webdataset": "shards",
    "ray": "ray",
    "huggingface_hub": "hub",
    "datasets": "hf",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "nncf": "openvino",
    "fastapi": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "h11": "serve",
    "python-multipart": "serve",
    "prometheus-client": "serve",
    "cleanlab": "test",
    "pyarrow": "test",
}
"""Optional package -> an extra of pyproject.toml that installs it. Packages of tests are left out."""
MIN_FREE_BYTES = 2 << 30
"""Free bytes on the disk below which a long run is at risk."""
TRAINING_SECONDS = 5.0
"""Longest time for timing training steps."""
FORMATS: tuple[Format, ...] = ("channels_last", "contiguous")
"""The memory formats that are timed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One property of this machine."""

    name: str
    """What was checked."""
    value: str
    """The result."""
    is_good: bool = True
    """Whether it is sufficient."""
    advice: str = ""
    """What to do when it is not."""


def check_machine() -> list[Check]:
    """Everything worth knowing before the first run.

    Timing the training of a small network takes TRAINING_SECONDS at most, the rest about as long as importing
    torch.
    """
    emulates = emulates_bfloat16()
    units = "emulated, so training uses float32" if emulates else "computed in hardware"
    return [
        Check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(Check(name, metadata.version(name)) for name in PACKAGES),
        *_extras(),
        _device(),
        Check("processor", processor_name() or "unknown"),
        Check(
            "cpu",
            f"{quantity(world.available_cores(), 'core')}, "
            f"{quantity(torch.get_num_threads(), 'thread')} of torch",
        ),
        Check("bfloat16", units),
        _compiler(),
        _decoders(),
        _disk(),
        Check("decoding", f"{_rate(_decode_one()):,.0f} JPEG of 500 x 375 a second on one core"),
        Check("training", _training(with_bfloat16=not emulates)),
    ]


def _extras() -> list[Check]:
    """The optional packages that are installed, with versions, and the others with the extra for each."""
    there = {name: version for name in EXTRAS if (version := _version(name))}
    missing = [f"{name} [{extra}]" for name, extra in EXTRAS.items() if name not in there]
    return [
        Check("extras", ", ".join(f"{name} {version}" for name, version in there.items()) or "none"),
        *([Check("not installed", ", ".join(missing))] if missing else []),
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _device() -> Check:
    if torch.cuda.is_available():
        return Check(
            "device", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        )
    return Check("device", "mps" if torch.backends.mps.is_available() else "cpu only")


def _compiler() -> Check:
    compiler = next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), "")
    return Check(
        "compiler", compiler or "none", bool(compiler), "install a C++ compiler to use torch.compile"
    )


def _decoders() -> Check:
    kinds = [kind for kind in ("jpg", "zlib", "webp") if features.check(kind)]
    advice = "reinstall pillow from a wheel"
    return Check("decoders", f"pillow with {', '.join(kinds)}", len(kinds) == 3, advice)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check(
        "disk", f"{free / 2**30:.1f} GiB free here", free > MIN_FREE_BYTES, "checkpoints may not fit"
    )


def _decode_one() -> Callable[[], object]:
    pixels = (np.add.outer(np.arange(375), np.arange(500)) % 256).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.stack([pixels] * 3, 2)).save(file, "JPEG")
    return lambda: decode(file.getvalue(), colour="rgb")


def _training(*, with_bfloat16: bool) -> str:
    """Training speed of cifar_resnet20 in every format and precision that a plan may choose."""
    network = build(zoo.arch("cifar_resnet20"))
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if with_bfloat16 else ("float32",)
    ways = tuple((form, kind) for kind in precisions for form in FORMATS)
    timed = measure(network, batch=MAX_SAMPLE, ways=ways, limit=lambda _: TRAINING_SECONDS)
    rates = timed.rates(MAX_SAMPLE)
    return "cifar_resnet20: " + ", ".join(
        f"{kind} {form} {rate:,.0f}/s" for (form, kind), rate in rates.items()
    )


def _rate(work: Callable[[], object]) -> float:
    """Calls of `work` per second, measured for a fifth of a second."""
    work()
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < 0.2:
        work()
        count += 1
    return count / elapsed
