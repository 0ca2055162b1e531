"""Layouts: an exported file as the folder that another server reads.

    triton                      ovms                        kserve
    FOLDER/                     FOLDER/                     FOLDER/
      NAME/                       config.json                 NAME.yaml
        config.pbtxt              NAME/                       model/model.onnx
        labels.txt                  1/model.onnx
        1/model.onnx

An OpenVINO file is `model.xml` with `model.bin` in place of `model.onnx`. Nothing here needs torch.
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from residua.errors import ConfigError
from residua.files import check_is_free, write_file
from residua.predict.export.facts import ExportFacts
from residua.spec.printable import printable
from residua.spec.record import nearest
from residua.version import __version__

KSERVE = """\
# kubectl apply -f {name}.yaml, once the folder `model` is where storageUri says.
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: residua
spec:
  supportedModelFormats:
    - name: {format}
      version: "1"
  protocolVersions:
    - v2
  containers:
    - name: kserve-container
      image: residua-serve:{version}
      command: [residua, serve]
      args:
        - /mnt/models/{file}
        - --name={{{{.Name}}}}
        - --host=0.0.0.0
        - --port={port}
        - --allow-host=*
      ports:
        - containerPort: {port}
          protocol: TCP
      readinessProbe:
        httpGet:
          path: /v2/health/ready
          port: {port}
      livenessProbe:
        httpGet:
          path: /v2/health/live
          port: {port}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        runAsNonRoot: true
      resources:
        requests:
          cpu: "2"
          memory: 1Gi
        limits:
          memory: 2Gi
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    model:
      modelFormat:
        name: {format}
      runtime: residua
      protocolVersion: v2
      storageUri: pvc://models/{name}
"""
"""The two documents for KServe: how our server is started, and the network it serves."""
Layout = Literal["triton", "ovms", "kserve"]
"""Name of a layout, of the server that reads it."""
BATCH = 16
"""Most images of a batch, where the server wants to know it beforehand."""
QUEUE = 64
"""Requests that wait at most; a server without a limit makes all of them late."""
WAIT_MICROSECONDS = 5_000_000
"""Longest wait in that queue, as our own server's deadline."""
CLUSTER_PORT = 8080
"""Port that KServe expects a container to listen on."""


@dataclass(frozen=True, slots=True)
class LayoutSource:
    """An exported file that is laid out for another server."""

    path: Path
    """`.onnx`, or `.xml` with its `.bin` in the same folder."""
    facts: ExportFacts
    """What it says of itself."""
    name: str
    """Name of the network for clients: letters, digits and `-`."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Name in a layout -> the file to copy."""
        if self.path.suffix == ".xml":
            return {"model.xml": self.path, "model.bin": self.path.with_suffix(".bin")}
        return {f"model{self.path.suffix}": self.path}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input without its batch; -1 for an axis that is free."""
        preprocess, clip = self.facts.preprocess, self.facts.arch.clip
        if self.facts.takes == "images":
            return (-1, -1, preprocess.channels)
        return (preprocess.channels, *((clip.total,) if clip else ()), preprocess.size, preprocess.size)


def write_layout(
    layout: Layout, path: Path, facts: ExportFacts, folder: Path, *, name: str = "", force: bool = False
) -> tuple[Path, ...]:
    """Write the folder that another server reads.

    Args:
        layout: For which server.
        path: The exported file, `.onnx` or `.xml`.
        facts: What it says of itself.
        folder: Where to write; it may exist and hold other networks.
        name: Name of the network for clients; empty takes that of the file.
        force: Whether files of an earlier layout may be replaced.

    Returns:
        The files that were written, the one to read first in front.

    Raises:
        ConfigError: The server reads no such file.
        FileExistsError: Something is there already, without `force`.
    """
    check_layout(layout, path.name)
    exported = LayoutSource(path, facts, network_name(name or path.stem))
    texts, model_folder = LAYOUTS[layout](exported)
    copies = {folder / model_folder / file: source for file, source in exported.files.items()}
    written = {folder / file: text for file, text in texts.items()}
    check_is_free(*written, *copies, force=force)
    for target, source in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for target, text in written.items():
        write_file(target, text)
    return (*written, *copies)


def check_layout(layout: str, file: str) -> None:
    """ConfigError when there is no such layout, or its server reads no such file."""
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout {layout!r}: {nearest(layout, LAYOUTS)}")
    if not file.endswith((".onnx", ".xml")):
        raise ConfigError(f"{file} cannot be laid out for {layout}: give an .onnx or .xml file")


def layout_entries(layout: Layout, name: str) -> tuple[str, ...]:
    """What `write_layout` makes in its folder, files and folders, for a network of that name."""
    model = network_name(name)
    return {"triton": (model,), "ovms": ("config.json", model), "kserve": (f"{model}.yaml", "model")}[layout]


def network_name(text: str) -> str:
    """`text` as all three servers take it: lower case letters, digits and single `-` (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "model"


def triton(exported: LayoutSource) -> tuple[dict[str, str], str]:
    """Texts and folder of the model for the Triton Inference Server, whose batches wait for nothing."""
    backend = "openvino" if exported.path.suffix == ".xml" else "onnxruntime"
    images = exported.facts.takes == "images"
    lines = (
        f'name: "{exported.name}"',
        f'backend: "{backend}"',
        f"max_batch_size: {BATCH}",
        f'input {{ name: "{exported.facts.takes}" data_type: {"TYPE_UINT8" if images else "TYPE_FP32"}'
        f" dims: {list(exported.shape)} }}",
        f'output {{ name: "logits" data_type: TYPE_FP32 dims: [{len(exported.facts.classes)}]'
        ' label_filename: "labels.txt" }',
        "dynamic_batching {",
        "  default_queue_policy {",
        f"    max_queue_size: {QUEUE}",
        f"    default_timeout_microseconds: {WAIT_MICROSECONDS}",
        "  }",
        "}",
        *(("instance_group { kind: KIND_CPU }",) if backend == "openvino" else ()),
    )
    labels = "".join(f"{printable(name.replace(chr(10), ' '))}\n" for name in exported.facts.classes)
    texts = {"config.pbtxt": "\n".join(lines) + "\n", "labels.txt": labels}
    return {f"{exported.name}/{file}": text for file, text in texts.items()}, f"{exported.name}/1"


def ovms(exported: LayoutSource) -> tuple[dict[str, str], str]:
    """Texts and folder of the model for the OpenVINO Model Server, in a container that has it at /models."""
    config = {
        "name": exported.name,
        "base_path": f"/models/{exported.name}",
        "plugin_config": {"PERFORMANCE_HINT": "THROUGHPUT"},
    }
    document = {"model_config_list": [{"config": config}]}
    return {"config.json": json.dumps(document, indent=2) + "\n"}, f"{exported.name}/1"


def kserve(exported: LayoutSource) -> tuple[dict[str, str], str]:
    """Text and folder of the model for KServe, which starts our own server in a container.

    The image and the place of the model are the two lines to change.
    """
    file = next(iter(exported.files))
    model_format = "openvino" if exported.path.suffix == ".xml" else "onnx"
    text = KSERVE.format(
        file=file, name=exported.name, format=model_format, port=CLUSTER_PORT, version=__version__
    )
    return {f"{exported.name}.yaml": text}, "model"


LAYOUTS: dict[Layout, Callable[[LayoutSource], tuple[dict[str, str], str]]] = {
    "triton": triton,
    "ovms": ovms,
    "kserve": kserve,
}
"""Layout -> texts by file, and the folder of the model, both within the folder that is written."""
