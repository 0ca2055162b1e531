"""A network saved as a folder is the same network wherever a trained one is accepted."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from timm.models._hub import load_model_config_from_path

import command
import residua
from residua.errors import CheckpointError
from residua.jobs.prepare import prepare
from residua.jobs.train_request import TrainRequest
from residua.nn.network import Network, build
from residua.predict.folder import CONFIG, config
from residua.runs.run import Run
from residua.training.network import initial_network
from residua.weights import load
from residua.weights.load import FILE
from small import COLOURS, arch, colours, file_of, flip, fresh, photo_folder, picture, recipe


@pytest.fixture
def network() -> Network:
    built = build(arch())
    built.class_names = tuple(COLOURS)
    return built.eval()


@pytest.fixture
def saved(network: Network, tmp_path: Path) -> Path:
    return residua.save(network, tmp_path / "saved")


def equal(left: Network, right: Network) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def rewrite(folder: Path, **changes: object) -> None:
    plain = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**plain, **changes}))


def test_what_is_saved_is_loaded_with_weights_words_preprocessing_and_names(
    network: Network, saved: Path
) -> None:
    loaded = residua.load(saved)
    assert equal(loaded.network, network)
    assert loaded.network.arch == network.arch
    assert loaded.classes == tuple(COLOURS)
    assert not loaded.network.training
    assert residua.load(str(saved))(picture("red", 1)) == loaded(picture("red", 1))
    assert equal(residua.load(saved / FILE).network, network), "the file of weights alone says it all too"


def test_a_folder_is_accepted_where_a_run_is(saved: Path, tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos")
    assert residua.evaluate(saved, data=photos)[0].n == 24
    output = command.succeeded(command.residua("predict", saved, photos / "red" / "01.png", "--json"))
    assert json.loads(output)[0]["top"][0]["class"] in COLOURS


def test_training_starts_from_a_folder_or_a_run(saved: Path, network: Network, tmp_path: Path) -> None:
    begun = initial_network(recipe(weights=str(saved)), tuple(COLOURS))
    assert equal(begun, network)
    run = fresh(tmp_path / "run", recipe(), colours())
    assert equal(
        initial_network(recipe(weights=str(run.path)), tuple(COLOURS)), residua.load(run.path).network
    )


def test_weights_load_reads_a_folder(saved: Path, network: Network) -> None:
    other = build(arch())
    assert load(other, saved) == f"{len(network.state_dict())} tensors from residua names"
    assert equal(other, network)


def test_saving_never_overwrites_unless_it_is_told_to(network: Network, saved: Path) -> None:
    before = (saved / FILE).read_bytes()
    with torch.no_grad():
        network.stem.conv1.weight += 1
    with pytest.raises(FileExistsError, match=r"config\.json .*--force"):
        residua.save(network, saved)
    assert (saved / FILE).read_bytes() == before
    residua.save(network, saved, force=True)
    assert equal(residua.load(saved).network, network)


def test_a_file_in_the_way_is_never_replaced(network: Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="give a folder"):
        residua.save(network, tmp_path / "file", force=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_equal_networks_make_equal_bytes(network: Network, saved: Path, tmp_path: Path) -> None:
    again = residua.save(network, tmp_path / "again")
    assert all((saved / name).read_bytes() == (again / name).read_bytes() for name in (CONFIG, FILE))


def test_every_flipped_byte_of_the_weights_is_found(saved: Path) -> None:
    for at in (0.001, 0.1, 0.5, 0.99):
        flip(saved / FILE, at=at)
        with pytest.raises(CheckpointError):
            residua.load(saved)
        flip(saved / FILE, at=at)
    residua.load(saved)


def test_a_config_of_other_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    other = residua.save(build(arch(classes=5)), tmp_path / "other")
    (saved / CONFIG).write_bytes((other / CONFIG).read_bytes())
    with pytest.raises(CheckpointError, match=r"config\.json is not of"):
        residua.load(saved)


def test_class_names_may_be_written_by_hand_but_all_of_them(saved: Path) -> None:
    rewrite(saved, label_names=["azure", "emerald", "scarlet"])
    assert residua.load(saved).classes == ("azure", "emerald", "scarlet")
    for wrong in (["azure"], "azure", [1, 2, 3]):
        rewrite(saved, label_names=wrong)
        with pytest.raises(CheckpointError, match=r"config\.json (names|has label_names)"):
            residua.load(saved)
    rewrite(saved, label_names=["azure", "emerald", "\ud800"])
    with pytest.raises(CheckpointError, match=r"config\.json .*half a character"):
        residua.load(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", "no network"),
        ('{"architecture": "resnet50"}', "no network"),
        ('{"format": 9, "arch": {}}', r"format 9.* 1"),
    ],
)
def test_a_config_of_another_kind_is_refused_in_one_sentence(saved: Path, text: str, message: str) -> None:
    (saved / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        residua.load(saved)


def test_weights_that_another_program_wrote_again_are_read_by_the_words_beside_them(
    saved: Path, network: Network
) -> None:
    safetensors.torch.save_file(network.state_dict(), saved / FILE, {"format": "pt"})
    assert equal(residua.load(saved).network, network)
    rewrite(saved, arch={"name": "broken"})
    with pytest.raises(CheckpointError, match="lacks the field"):
        residua.load(saved)


def test_a_headless_network_is_not_saved(network: Network, tmp_path: Path) -> None:
    network.reset_classifier(0)
    with pytest.raises(ValueError, match=r"reset_classifier\(n\)"):
        residua.save(network, tmp_path / "x")


def test_any_safetensors_reader_opens_the_weights(saved: Path, network: Network) -> None:
    tensors = safetensors.torch.load_file(saved / FILE)
    assert tensors.keys() == network.state_dict().keys()


def test_timm_reads_the_fields_that_are_its_own(saved: Path, network: Network) -> None:
    fields, name, _ = load_model_config_from_path(saved)
    assert name == "residua_tiny"
    assert (fields["input_size"], fields["num_classes"]) == ([3, 12, 12], 3)
    assert fields["label_names"] == list(COLOURS)
    assert config(network)["pretrained_cfg"]["classifier"] == "head.linear1"


def test_a_run_is_saved_as_a_folder(tmp_path: Path) -> None:
    run: Run = fresh(tmp_path / "run", recipe(), colours())
    folder = residua.save(residua.load(run.path).network, tmp_path / "folder")
    assert residua.load(folder)(picture("blue", 3)) == residua.load(run.path)(picture("blue", 3))


def test_training_from_weights_says_what_was_read(saved: Path, tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos")
    recipe_file = file_of(recipe("", weights=str(saved)), tmp_path / "recipe.json")
    prepared = prepare(TrainRequest(str(photos), recipe=str(recipe_file)))
    line = f" {len(prepared.network.state_dict())} tensors from residua names"
    assert len([note for note in prepared.notes if note.endswith(line)]) == 1
