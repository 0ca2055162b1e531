"""Converting: what others wrote becomes a folder, and goes back, with the logits it had."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision

import command
import residua
from residua.errors import CheckpointError, ConfigError
from residua.jobs.convert import build_peer, convert
from residua.nn.network import build
from residua.spec.zoo import arch
from residua.weights import save_as
from small import recipe


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """torchvision's ResNet-18 for 7 classes, as its training script saves it."""
    network = torchvision.models.resnet18(num_classes=7)
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_a_file_of_torchvision_becomes_a_folder_and_goes_back_bit_by_bit(
    theirs: Path, tmp_path: Path
) -> None:
    done = convert(theirs, "resnet18", source="torchvision", out=tmp_path / "ours")
    assert (done.read, done.tensors) == ("122 tensors from torchvision names", 122)
    assert done.peer == f"torchvision {torchvision.__version__} resnet18"
    assert done.difference == 0
    assert residua.load(tmp_path / "ours").classes == ("0", "1", "2", "3", "4", "5", "6")
    back = convert(tmp_path / "ours", to="torchvision", out=tmp_path / "back.safetensors")
    assert (back.difference, back.model, back.source) == (0, "resnet18", "residua")
    state = torch.load(theirs, weights_only=True)["model"]
    saved = safetensors.torch.load_file(tmp_path / "back.safetensors")
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[key], state[key]) for key in state)


def test_what_was_written_for_others_is_read_again(theirs: Path, tmp_path: Path) -> None:
    first = tmp_path / "timm.safetensors"
    done = convert(theirs, "resnet18", to="timm", out=first)
    assert done.peer == f"timm {timm.__version__} resnet18"
    assert done.difference is not None
    assert done.difference < 1e-5
    assert convert(first, "resnet18", source="timm", out=tmp_path / "again").difference == done.difference
    with pytest.raises(ConfigError, match="--model NAME"):
        convert(first, out=tmp_path / "nameless")


def test_classes_are_named_from_a_list(theirs: Path, tmp_path: Path) -> None:
    convert(theirs, "resnet18", classes=list("abcdefg"), out=tmp_path / "ours")
    assert residua.load(tmp_path / "ours").classes == tuple("abcdefg")
    with pytest.raises(ConfigError, match=r"2 class names.* 7 outputs"):
        convert(theirs, "resnet18", classes=list("ab"), out=tmp_path / "other")
    with pytest.raises(ConfigError, match="leave --classes out"):
        convert(theirs, "resnet18", classes=list("abcdefg"), to="timm", out=tmp_path / "x.safetensors")


def test_a_grey_first_convolution_stays_grey(tmp_path: Path) -> None:
    grey = timm.create_model("resnet18", in_chans=1, num_classes=4)
    torch.save(grey.state_dict(), tmp_path / "grey.pth")
    done = convert(tmp_path / "grey.pth", "resnet18", source="timm", out=tmp_path / "ours")
    assert "adapted" not in done.read
    assert done.difference is not None
    assert done.difference < 1e-5
    assert residua.load(tmp_path / "ours").network.arch.channels == 1


def test_a_source_without_a_library_is_converted_and_not_compared(tmp_path: Path) -> None:
    state = save_as(build(arch("cifar_resnet20")), "cifar")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "a.th")
    done = convert(tmp_path / "a.th", "cifar_resnet20", source="cifar", out=tmp_path / "ours")
    assert (done.peer, done.difference) == ("", None)
    assert residua.load(tmp_path / "ours").network.arch == arch("cifar_resnet20")


def test_a_network_of_other_words_has_no_peer() -> None:
    assert build_peer("torchvision", arch("resnet18"))[0] is not None
    (first, *others), *rest = arch("resnet18").stages
    changed = replace(arch("resnet18"), stages=((replace(first, word="(CNA C)NA"), *others), *rest))
    for source in ("torchvision", "timm"):
        assert build_peer(source, changed) == (None, "")
    assert build_peer("torchvision", arch("resnet50_v1")) == (None, "")


def test_nothing_is_overwritten(theirs: Path, tmp_path: Path) -> None:
    convert(theirs, "resnet18", out=tmp_path / "ours")
    (tmp_path / "x.safetensors").write_text("mine")
    for to, out in (("", tmp_path / "ours"), ("timm", tmp_path / "x.safetensors")):
        with pytest.raises(FileExistsError, match="--force"):
            convert(theirs, "resnet18", to=to, out=out)
    assert (tmp_path / "x.safetensors").read_text() == "mine"
    convert(theirs, "resnet18", to="timm", out=tmp_path / "x.safetensors", force=True)


@pytest.mark.battery
def test_timms_resnetv2_needs_its_opening_and_is_then_compared(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnetv2_18", num_classes=3).state_dict(), tmp_path / "v2.pth")
    with pytest.raises(CheckpointError, match='give opening="timm"'):
        convert(tmp_path / "v2.pth", "preresnet18", out=tmp_path / "ours")
    done = convert(tmp_path / "v2.pth", "preresnet18", changes={"opening": "timm"}, out=tmp_path / "ours")
    assert done.peer == f"timm {timm.__version__} resnetv2_18"
    assert done.difference is not None
    assert done.difference < 1e-5
    assert residua.load(tmp_path / "ours").network.arch.stem.word == "CP"
    assert convert(tmp_path / "ours", to="timm", out=tmp_path / "b.safetensors").difference == done.difference


@pytest.mark.battery
def test_auxiliary_heads_of_googlenet_are_left_out_and_said(tmp_path: Path) -> None:
    theirs = torchvision.models.googlenet(num_classes=2, aux_logits=True, init_weights=False)
    torch.save(theirs.state_dict(), tmp_path / "g.pth")
    done = convert(tmp_path / "g.pth", "googlenet", source="torchvision", out=tmp_path / "ours")
    assert "344 tensors from torchvision" in done.read
    assert (done.peer, done.difference) == (f"torchvision {torchvision.__version__} googlenet", 0)


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ({"model": "resnet34"}, CheckpointError, r"missing layer1\.2"),
        ({"model": "resnet18", "source": "cifar"}, CheckpointError, "cifar names"),
        ({"model": "resnet18", "source": "torchvison"}, ConfigError, "torchvison.*torchvision"),
        ({"model": "resnet81"}, ConfigError, "did you mean resnet18"),
        ({"model": "resnet18", "to": "timm", "out": "folder"}, ConfigError, r"give \.safetensors"),
    ],
)
def test_a_mistake_says_what_to_do_and_writes_nothing(
    theirs: Path, tmp_path: Path, words: dict[str, str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        convert(theirs, **{"out": tmp_path / "out", **words})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_network_of_ours_says_itself_what_it_is(tmp_path: Path) -> None:
    network = build(recipe().arch)
    residua.save(network, tmp_path / "tiny")
    for words in ({"model": "resnet18"}, {"source": "timm"}):
        with pytest.raises(ConfigError, match=r"tiny.*--model and --from"):
            convert(tmp_path / "tiny", **words, out=tmp_path / "out")  # type: ignore[arg-type]
    done = convert(tmp_path / "tiny", to="cifar", out=tmp_path / "tiny.safetensors")
    assert (done.peer, done.read) == ("", f"{len(network.state_dict())} tensors of tiny")


def test_the_command_says_what_it_read_wrote_and_measured(theirs: Path, tmp_path: Path) -> None:
    words = ("convert", theirs, "--model", "resnet18", "--from", "torchvision", "-o", "ours")
    out = command.succeeded(command.residua(*words, cwd=tmp_path)).splitlines()
    assert out[0].endswith("122 tensors from torchvision names")
    assert out[1] == "wrote   ours: 122 tensors of resnet18"
    assert "logit 0 on 2 random images" in out[2]
    assert out[3] == "next: residua evaluate ours --data DATA  ·  residua predict ours IMAGE"
    line = command.complaint(command.residua(*words, cwd=tmp_path), 2)
    assert "--force" in line
    document = json.loads(command.succeeded(command.residua(*words, "--force", "--json", cwd=tmp_path)))
    assert (document["written"], document["difference"], document["source"]) == ("ours", 0, "torchvision")


def test_a_hostile_file_runs_nothing_and_ends_with_5(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.mkdir, (tmp_path / "marker",)

    torch.save({"state_dict": {"conv1.weight": Payload()}}, tmp_path / "hostile.pth")
    done = command.residua("convert", tmp_path / "hostile.pth", "--model", "resnet18", "-o", tmp_path / "out")
    assert "no file of weights" in command.complaint(done, 5)
    assert not (tmp_path / "marker").exists()
    torch.load(tmp_path / "hostile.pth", weights_only=False)
    assert (tmp_path / "marker").exists(), "the file is harmless, so this test shows nothing"


@pytest.mark.battery
def test_a_file_of_torchvisions_r3d_18_is_compared_with_it(tmp_path: Path) -> None:
    file = tmp_path / "r3d.pth"
    torch.save(torchvision.models.video.r3d_18(num_classes=4).state_dict(), file)
    done = convert(file, "resnet3d18", out=tmp_path / "ours")
    assert (done.source, done.peer) == ("torchvision", f"torchvision {torchvision.__version__} r3d_18")
    assert done.difference == 0
