"""Seven networks that others trained on CIFAR-10: as many errors as their owners count, image for image.

Skipped where their files or the images are not at hand.
"""

import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import residua
from few import few_of
from released import shaken
from residua.errors import CheckpointError
from residua.nn.network import Network, build
from residua.spec.change import with_shortcut
from residua.weights import caches, catalogue, load, save_as
from residua.weights.foreign import read_foreign
from residua.weights.named import entry_arch, open_weights
from residua.weights.recognise import recognise
from residua.weights.same_tensors import distances, same_tensors

SHARED = Path(__file__).parents[3] / "shared/data"
FILES = {
    "cifar_resnet20.akamaster": ("akamaster/resnet20-12fca82f.th", 827),
    "cifar_resnet32.akamaster": ("akamaster/resnet32-d509ac18.th", 737),
    "cifar_resnet56.akamaster": ("akamaster/resnet56-4bfd9763.th", 661),
    "cifar_plain20.a-martyn": ("a-martyn/plainnet20.pt", 969),
    "cifar_plain56.a-martyn": ("a-martyn/plainnet56.pt", 1307),
    "cifar_resnet20.a-martyn": ("a-martyn/resnet20.pt", 804),
    "cifar_resnet56.a-martyn": ("a-martyn/resnet56.pt", 746),
}
"""Name in the catalogue -> file, and test images of 10,000 that are wrong."""
FEW = 200
"""Images of `make test`; the battery takes all."""
RIGHT = 0.05
"""Most distance of a network from its own statistics; every other network with its tensors is farther."""

SHALLOW = [name for name in FILES if "20" in name]
pytestmark = pytest.mark.skipif(
    not all((SHARED / "weights" / file).exists() for file, _ in FILES.values()),
    reason="the real weights are not at hand",
)


@pytest.fixture(scope="session")
def images() -> tuple[Tensor, Tensor]:
    """The 10,000 test images of CIFAR-10 (10000, 3, 32, 32) uint8 in a mixed order, and their labels."""
    if not (archive := SHARED / "cifar10/test.zip").exists():
        pytest.skip("the images are not at hand")
    arrays = runpy.run_path(str(SHARED / "unpack.py"))["cifar_images"](archive)[:2]
    pixels, labels = map(torch.from_numpy, arrays)
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return pixels.permute(0, 3, 1, 2).contiguous()[mixed], labels.long()[mixed]


def named(name: str) -> Network:
    """The network of the catalogue, with the weights of its file."""
    entry = catalogue.find(name)
    network = build(entry_arch(entry)).eval()
    load(network, SHARED / "weights" / FILES[name][0], source=entry.dialect)
    return network


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (pixels.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def by_hand(name: str, pixels: Tensor) -> Tensor:
    """Logits of one of the files, from the descriptions of their owners and without the layers of residua."""
    state = read_foreign(SHARED / "weights" / FILES[name][0])
    is_akamaster, is_plain = "akamaster" in name, "plain" in name
    if is_akamaster:
        first, first_norm, last = "conv1", "bn1", "linear"
        x = normalised(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    else:
        first, first_norm, last = "convIn", "bnIn", "fcOut"
        x = normalised(pixels, (0.49187, 0.49186, 0.49186), (0.24697, 0.24697, 0.24697))

    def norm(x: Tensor, layer: str) -> Tensor:
        mean, var = state[f"{layer}.running_mean"], state[f"{layer}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{layer}.weight"], state[f"{layer}.bias"], eps=1e-5)

    x = norm(F.conv2d(x, state[f"{first}.weight"], padding=1), first_norm).relu()
    for block in dict.fromkeys(key.partition(".conv1")[0] for key in state if ".conv1." in key):
        window = state[f"{block}.conv1.weight"]
        step = len(window) // window.shape[1]
        y = norm(F.conv2d(x, window, stride=step, padding=1), f"{block}.bn1").relu()
        y = norm(F.conv2d(y, state[f"{block}.conv2.weight"], padding=1), f"{block}.bn2")
        if not is_plain:
            new = len(window) - x.shape[1]
            zeros = (new // 2, new // 2) if is_akamaster else (0, new)
            y = y + F.pad(x[:, :, ::step, ::step], (0, 0, 0, 0, *zeros))
        x = y.relu()
    return F.linear(x.mean((2, 3)), state[f"{last}.weight"], state[f"{last}.bias"])


@torch.inference_mode()
def wrong_by_both(name: str, pixels: Tensor, labels: Tensor) -> tuple[int, int]:
    """Wrong answers of the loaded network and of the one by hand, whose logits are compared."""
    network, ours, theirs = named(name), [], []
    for part in pixels.split(200):
        read = network.arch.preprocess
        ours.append(network(normalised(part, read.mean, read.std)))
        theirs.append(by_hand(name, part))
        torch.testing.assert_close(ours[-1], theirs[-1], rtol=0, atol=1e-4)
    answers = [torch.cat(logits).argmax(1) for logits in (ours, theirs)]
    assert torch.equal(*answers)
    return int((answers[0] != labels).sum()), int((answers[1] != labels).sum())


@pytest.mark.parametrize("name", few_of(FILES, SHALLOW))
def test_a_real_network_computes_what_its_owner_describes(name: str, images: tuple[Tensor, Tensor]) -> None:
    pixels, labels = images
    wrong, _ = wrong_by_both(name, pixels[:FEW], labels[:FEW])
    share = FILES[name][1] / len(labels)
    assert abs(wrong - FEW * share) < 4 * (FEW * share) ** 0.5  # four standard deviations


@pytest.mark.battery
@pytest.mark.parametrize(("name", "count"), [(name, count) for name, (_, count) in FILES.items()])
def test_a_real_network_is_wrong_on_as_many_of_all_images(
    name: str, count: int, images: tuple[Tensor, Tensor]
) -> None:
    assert wrong_by_both(name, *images) == (count, count)


@pytest.mark.parametrize("name", few_of(FILES, SHALLOW))
def test_the_statistics_of_a_real_network_tell_its_shortcuts(name: str) -> None:
    network = named(name)
    own = "no shortcuts" if "plain" in name else "A" if "akamaster" in name else "A_after"
    family = same_tensors(network.arch)
    assert set(family) == {"A", "A_after", "no shortcuts"}
    state, states = save_as(network, "torchvision"), {}
    for kind, arch in family.items():
        load(other := build(arch), state, source="torchvision")
        states[kind] = other.state_dict()
    measured = distances(family, states)
    assert measured.pop(own) < RIGHT
    assert min(measured.values()) > RIGHT


@pytest.mark.parametrize("name", few_of(FILES, SHALLOW))
def test_a_bare_file_is_recognised_by_its_statistics(name: str) -> None:
    """By names and shapes alone a plain network and both kinds of option A would fit."""
    state = read_foreign(SHARED / "weights" / FILES[name][0])
    assert [arch.name for arch, _ in recognise(state)] == [catalogue.find(name).model]


@pytest.mark.parametrize(
    "name", ["cifar_resnet20.akamaster", "cifar_resnet20.a-martyn", "cifar_plain20.a-martyn"]
)
def test_a_renamed_file_reads_what_its_owner_says(name: str, tmp_path: Path) -> None:
    file = tmp_path / "renamed.pt"
    file.write_bytes((SHARED / "weights" / FILES[name][0]).read_bytes())
    assert open_weights(str(file)).preprocess == catalogue.find(name).preprocess


def test_other_networks_of_an_owner_read_what_the_known_ones_read(tmp_path: Path) -> None:
    state = read_foreign(SHARED / "weights" / FILES["cifar_resnet20.a-martyn"][0])
    torch.save({key: value + 1e-6 for key, value in state.items()}, file := tmp_path / "other.pt")
    opened = open_weights(str(file))
    assert opened.preprocess == catalogue.find("cifar_resnet20.a-martyn").preprocess
    assert "a-martyn" in " ".join(opened.notes)


@pytest.mark.battery
def test_a_network_by_name_is_evaluated_on_all_images(
    monkeypatch: pytest.MonkeyPatch, images: tuple[Tensor, Tensor]
) -> None:
    file = caches.own_path(catalogue.find("cifar_resnet20.akamaster"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((SHARED / "weights" / FILES["cifar_resnet20.akamaster"][0]).read_bytes())
    pixels, labels = images
    scores = residua.evaluate(
        "cifar_resnet20.akamaster", data=(pixels.permute(0, 2, 3, 1).numpy(), labels.numpy())
    )
    assert scores[0].top1 == pytest.approx(100 - 8.27)


def test_the_loader_warns_of_the_other_zeros() -> None:
    file, _ = FILES["cifar_resnet56.akamaster"]
    network = named("cifar_resnet56.akamaster")
    other = build(with_shortcut(network.arch, "A_after"))
    assert "WARNING" in (report := load(other, SHARED / "weights" / file))
    assert "shortcut=A" in report
    assert "WARNING" not in load(network, SHARED / "weights" / file)


def test_a_plain_file_in_a_residual_network_is_warned_of() -> None:
    network = named("cifar_resnet20.a-martyn")
    report = load(network, SHARED / "weights" / FILES["cifar_plain20.a-martyn"][0])
    assert "WARNING" in report
    assert "without shortcuts" in report


@pytest.mark.parametrize("name", few_of(FILES, SHALLOW))
def test_a_network_of_the_right_kind_is_confirmed(name: str) -> None:
    report = load(named(name), SHARED / "weights" / FILES[name][0])
    kind = {"akamaster": "both sides", "a-martyn": "after the channels"}[name.split(".")[1]]
    assert ("plain" in name) != (kind in report)
    assert "WARNING" not in report
    other = "A_after" if "akamaster" in name else "A"
    assert ("plain" in name) or f"{other} would take" in report


def test_networks_with_chenyaofos_names_compute_what_he_describes() -> None:
    network = shaken("cifar_resnet20:shortcut=B")
    state, x = save_as(network, "chenyaofo"), torch.randn(2, 3, 32, 32)

    def conv(x: Tensor, name: str, norm: str, step: int = 1) -> Tensor:
        window = state[f"{name}.weight"]
        x = F.conv2d(x, window, stride=step, padding=window.shape[-1] // 2)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{norm}.weight"], state[f"{norm}.bias"])

    y = conv(x, "conv1", "bn1").relu()
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            name, step = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            z = conv(conv(y, f"{name}.conv1", f"{name}.bn1", step).relu(), f"{name}.conv2", f"{name}.bn2")
            is_new = f"{name}.downsample.0.weight" in state
            y = z + (conv(y, f"{name}.downsample.0", f"{name}.downsample.1", step) if is_new else y)
            y = y.relu()
    logits = F.linear(y.mean((2, 3)), state["fc.weight"], state["fc.bias"])
    with torch.inference_mode():
        torch.testing.assert_close(network(x), logits, rtol=0, atol=1e-5)


def test_names_of_one_owner_decide_where_the_zeros_are() -> None:
    network = build(with_shortcut(named("cifar_resnet20.a-martyn").arch, "A"))
    with pytest.raises(CheckpointError, match="shortcut=A_after"):
        load(network, SHARED / "weights" / FILES["cifar_resnet20.a-martyn"][0])
    with pytest.raises(CheckpointError, match="shortcut=A_after"):
        save_as(network, "a-martyn")
