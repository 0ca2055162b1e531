"""Layouts for other servers: Triton parses its own, the others fit the schemas of theirs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exported_files import facts, write_onnx, write_openvino
from residua.errors import ConfigError
from residua.predict.export.layouts import LAYOUTS, network_name, write_layout
from residua.predict.exported import load_exported

SCHEMAS = Path(__file__).with_name("schemas")
SIDE = facts().preprocess.size


def exported(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return (
        write_onnx(folder / "Colours_1.onnx") if kind == "onnx" else write_openvino(folder / "Colours_1.xml")
    )


def triton_config(folder: Path) -> Any:
    """The configuration, parsed by Triton's own message."""
    pytest.importorskip("tritonclient")
    from google.protobuf import text_format

    message = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient lacks grpc")
    return text_format.Parse((folder / "config.pbtxt").read_text(), message.ModelConfig())


@pytest.mark.parametrize(("kind", "backend"), [("onnx", "onnxruntime"), ("xml", "openvino")])
def test_triton_parses_the_configuration_and_finds_the_model(tmp_path: Path, kind: str, backend: str) -> None:
    write_layout("triton", exported(tmp_path, kind), facts(), tmp_path / "repository")
    folder = tmp_path / "repository" / "colours-1"
    config = triton_config(folder)
    assert (config.name, config.backend) == (folder.name, backend)
    assert (config.input[0].name, list(config.input[0].dims)) == ("inputs", [3, SIDE, SIDE])
    assert (config.output[0].name, list(config.output[0].dims)) == ("logits", [3])
    assert config.dynamic_batching.default_queue_policy.max_queue_size
    assert (folder / config.output[0].label_filename).read_text().split() == list(facts().classes)
    assert (folder / "1" / f"model.{kind}").is_file()


def test_triton_reads_whole_images_where_the_graph_crops_them(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "whole.onnx", takes="images")
    write_layout("triton", path, facts(takes="images"), tmp_path / "repository")
    reads = triton_config(tmp_path / "repository" / "whole").input[0]
    assert (reads.name, list(reads.dims)) == ("images", [-1, -1, 3])
    from tritonclient.grpc.model_config_pb2 import TYPE_UINT8

    assert reads.data_type == TYPE_UINT8


def test_a_class_of_two_lines_is_one_label(tmp_path: Path) -> None:
    path = exported(tmp_path, "onnx")
    write_layout("triton", path, facts(classes=("a\nb", "c", "\u202ed")), tmp_path / "repository")
    labels = (tmp_path / "repository" / "colours-1" / "labels.txt").read_text().splitlines()
    assert labels == ["a b", "c", "\\u202ed"]


@pytest.mark.parametrize("kind", ["onnx", "xml"])
def test_the_configuration_of_openvino_model_server_fits_its_schema(tmp_path: Path, kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    config, *models = write_layout("ovms", exported(tmp_path, kind), facts(), tmp_path / "models")
    document = json.loads(config.read_text())
    jsonschema.validate(document, json.loads((SCHEMAS / "ovms.json").read_text()))
    entry = document["model_config_list"][0]["config"]
    base = tmp_path / "models" / Path(entry["base_path"]).relative_to("/models")
    assert models[0] == base / "1" / f"model.{kind}"


def unknown_fields(value: Any, kind: str, types: dict[str, Any]) -> list[str]:
    """Fields that a type of KServe or Kubernetes does not have, or that hold another type."""
    if part := re.fullmatch(r"list\[(\w+)\]", kind):
        return [field for each in value for field in unknown_fields(each, part[1], types)]
    if kind.startswith("V1"):
        fields = types[kind]
        strange = [f"{kind}.{name}" for name in value if name not in fields]
        known = ((each, fields[name]) for name, each in value.items() if name in fields)
        return strange + [field for each, its in known for field in unknown_fields(each, its, types)]
    plain = {"str": str, "int": int, "bool": bool}.get(kind, object)
    return [] if isinstance(value, plain) else [f"{value!r} for {kind}"]


@pytest.mark.parametrize("kind", ["onnx", "xml"])
def test_kserve_knows_every_field_of_its_file(tmp_path: Path, kind: str) -> None:
    text, *_ = write_layout("kserve", exported(tmp_path, kind), facts(), tmp_path / "kserve")
    schema = json.loads((SCHEMAS / "kserve.json").read_text())
    runtime, service = yaml.safe_load_all(text.read_text())
    for document in (runtime, service):
        assert unknown_fields(document, schema["kinds"][document["kind"]], schema["types"]) == []
    formats = [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"]["name"] in formats
    assert model["runtime"] == runtime["metadata"]["name"]


def test_the_container_of_kserve_starts_our_server(tmp_path: Path) -> None:
    """Every option exists, and the model is where the container sees it."""
    from typer.main import get_command

    from residua.cli.app import app

    text, model = write_layout("kserve", exported(tmp_path, "onnx"), facts(), tmp_path / "kserve")
    container = next(iter(yaml.safe_load_all(text.read_text())))["spec"]["containers"][0]
    path, *options = container["args"]
    assert Path(path).name == model.name
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in serve.params for option in parameter.opts}
    assert {option.partition("=")[0] for option in options} <= known


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_model_is_copied_whole(tmp_path: Path, layout: Any) -> None:
    path = exported(tmp_path, "xml")
    files = write_layout(layout, path, facts(), tmp_path / layout)
    (copy,) = (file for file in files if file.suffix == ".xml")
    assert load_exported(copy).facts == load_exported(path).facts


def test_nothing_is_replaced_without_force(tmp_path: Path) -> None:
    path = exported(tmp_path, "onnx")
    write_layout("ovms", path, facts(), tmp_path / "models")
    with pytest.raises(FileExistsError, match="--force"):
        write_layout("ovms", path, facts(), tmp_path / "models")
    write_layout("ovms", path, facts(), tmp_path / "models", force=True)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="onnx"):
        write_layout("triton", tmp_path / "network.pt2", facts(), tmp_path / "repository")


@pytest.mark.parametrize(
    ("text", "name"),
    [("Colours_1", "colours-1"), ("..", "model"), ("naïve net", "na-ve-net"), ("a" * 80, "a" * 63)],
)
def test_names_are_taken_by_all_three_servers(text: str, name: str) -> None:
    assert network_name(text) == name
