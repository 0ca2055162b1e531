"""From what a user writes to weights: a name of the catalogue, a hub's repository, a file, a folder or a run.

    an existing file, folder or run      itself
    timm:NAME, hf:OWNER/NAME, hf-hub:... a repository of the hub: its config.json says which network it is of
    auto, imagenet, True                 the best weights that the catalogue has of the network
    everything else                      a name of the catalogue

What is a name may be downloaded, because the user wrote it. A name in the file of a stranger, which
`read_record` reads, is looked up in the caches alone.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from residua.errors import CheckpointError, ConfigError
from residua.events import Event
from residua.nn.network import build
from residua.spec import zoo
from residua.spec.amount import format_bytes
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.named_network import arch_of, is_file, origin_of, original_name
from residua.spec.preprocess import Preprocess
from residua.spec.provenance import Provenance
from residua.spec.record import from_plain
from residua.weights import caches, catalogue, fetch, hub_folder
from residua.weights.caches import digest_of
from residua.weights.catalogue import ReleasedWeights
from residua.weights.facts import provenance_of
from residua.weights.licence import check_licence, check_stated_licence
from residua.weights.load import FILE, check_size, load, read_weights
from residua.weights.recognise import recognise
from residua.weights.store import is_ours, read_facts

IMAGENET_NETWORKS = ("resnet18", "resnet50")
"""Networks for `imagenet` and `IMAGENET1K_V2` where nothing else names one: the first that has such."""
HUB, TIMM = ("hf-hub:", "hf:"), "timm:"
"""What stands before the name of a repository on the hub, and before a name of timm."""
SUFFIXES = (
    *(".pth", ".pt", ".th", ".bin", ".safetensors", ".ckpt", ".tar", ".pkl", ".npz", ".h5"),
    *(".onnx", ".xml", ".pt2"),
)
"""Endings of files of weights and of exported networks: a text that ends so is a path, not a name."""
RECORD = re.compile(r"(?P<name>.+)@sha256:(?P<digest>[0-9a-f]{64})")
"""How a recipe records named weights."""
STATES = "checkpoints"
"""The folder of a run with its states."""


@dataclass(frozen=True, slots=True)
class OpenedWeights:
    """Weights on this machine, and what is known of them."""

    path: Path
    """The file, or the folder of a saved network."""
    arch: Arch | None
    """The network that they are of, with its classes; None for a bare file that could be of several."""
    preprocess: Preprocess | None
    """What that network reads; None for a bare file, which does not say it."""
    classes: tuple[str, ...] = ()
    """Names of its classes; empty where they are unknown."""
    dialect: str = "auto"
    """Naming scheme of the tensors, a key of `weights.tables.DIALECTS`; `auto` for unknown."""
    detector: Detector | None = None
    """Detection head behind the network; None without one."""
    title: str = ""
    """What they are called in lines for people."""
    provenance: Provenance | None = None
    """Which published weights they are, or began from; None for none."""
    is_published: bool = False
    """Whether they are published weights, and not what was trained from them."""
    notes: tuple[str, ...] = ()
    """Lines for people: licence, what was published, where the network strides."""

    @property
    def record(self) -> str:
        """How a recipe records published weights: `resnet18.timm.a1@sha256:...`; empty for others."""
        origin = self.provenance
        return f"{origin.name}@sha256:{origin.sha256}" if origin and self.is_published else ""


def open_weights(
    text: str,
    model: str = "",
    *,
    default: str = "",
    download: bool = True,
    file_of: Callable[[Path], Path] = lambda path: path,
    listen: Callable[[Event], None] = lambda _: None,
) -> OpenedWeights:
    """The weights that `text` means.

    Args:
        text: A name, a file, a folder or a run, as a user writes it.
        model: The network that gets them, where it is known: a part of a name is enough then (`timm.a1`).
        default: The network for a name that leaves it out, where `model` is empty.
        download: Whether weights may be downloaded, because the user wrote their name, and not a stranger.
        file_of: The file of weights that a run stands for: `runs.checkpoint.weights_file`.
        listen: Receives the progress of a download.

    Returns:
        The weights on this machine.

    Raises:
        ConfigError: There are no such weights; the message names the nearest.
        CheckpointError: A file is damaged, or another one than was published.
        UnreachableError: They are not on this machine, and cannot be downloaded.
    """
    if is_path(text):
        return _open_path(Path(text), model, file_of)
    if is_hub_name(text):
        return _open_hub(_repository(text), download=download, listen=listen)
    _refuse_path(text)
    return _open_entry(_entry(text, model, default), download=download, listen=listen)


def check_text(text: str, model: str = "") -> None:
    """Check that `text` can name weights, without opening or downloading them.

    Args:
        text: What a user wrote.
        model: The network that gets them, with changes where wanted; empty where it is not known yet.

    Raises:
        ConfigError: There are no weights of that name; the message names the nearest.
        CheckpointError: There are none at that path.
    """
    if is_path(text) or is_hub_name(text):
        return
    _refuse_path(text)
    if (network := origin_of(model)) in zoo.NAMES:
        _entry(text, network, "")


def is_path(text: str) -> bool:
    """Whether `text` is a file, a saved folder or a run, and not only a name that a folder has too."""
    path = Path(text)
    if path.is_dir():
        return any((path / part).exists() for part in (FILE, STATES, hub_folder.CONFIG))
    return path.exists()


def is_hub_name(text: str) -> bool:
    """Whether `text` names a repository on the hub, or a network of timm."""
    return text.startswith((TIMM, *HUB))


def names_weights(text: str) -> bool:
    """Whether `text`, where a network is asked for, names weights, which know theirs.

    `timm:resnet18` and `resnet50.torchvision.v2` do; `resnet50` and `resnet34:shortcut=A` are networks.
    """
    if is_hub_name(text):
        return True
    origin = origin_of(text)
    return "." in origin and origin == text and not is_file(text) and not is_path(text)


def is_trained(text: str) -> bool:
    """Whether `text`, where a trained network is asked for, names published weights, and no path.

    A bare name (`resnet50`) means the best weights of that network.
    """
    if is_path(text) or Path(text).suffix.lower() in SUFFIXES:
        return False
    return names_weights(text) or text in zoo.NAMES


def arch_of_name(text: str, *, listen: Callable[[Event], None] = lambda _: None) -> Arch:
    """The network of weights that are named where a network is asked for; the weights are not downloaded.

    Args:
        text: As `names_weights` accepts it.
        listen: Receives the progress of a download of a `config.json`.

    Raises:
        ConfigError: There are no such weights.
        CheckpointError: They are of no network of ours.
        UnreachableError: Only the hub knows the network, and does not answer.
    """
    if not is_hub_name(text):
        return entry_arch(_entry(text, "", ""))
    repository = _repository(text)
    if entry := _entry_of_hub(repository):
        return entry_arch(entry)
    folder = fetch.fetch_hub(repository, (hub_folder.CONFIG,), listen=listen)
    return hub_folder.read_config(folder, text).arch


def read_record(text: str) -> tuple[str, str] | None:
    """Name and SHA-256 of the published weights that a recipe records; None for a path."""
    match = RECORD.fullmatch(text)
    return (match["name"], match["digest"]) if match else None


def open_record(text: str) -> OpenedWeights:
    """The published weights that the recipe of a run or of a stranger records, from the caches alone.

    Args:
        text: `NAME@sha256:DIGEST`.

    Raises:
        ConfigError: They are not on this machine; the message says how to allow the download.
        CheckpointError: The file in the cache is another one.
    """
    record = read_record(text)
    assert record is not None
    name, digest = record
    if is_hub_name(name):
        raise ConfigError(f"the recipe begins from {name}: add --weights {name} to take it from the hub")
    opened = open_weights(name, download=False)
    if opened.provenance and opened.provenance.sha256 != digest:
        raise CheckpointError(
            f"{opened.path} is not the file of the recipe, whose SHA-256 is {digest}: give --weights FILE"
        )
    return opened


def _entry(text: str, model: str, default: str) -> ReleasedWeights:
    """The row of the catalogue that `text` means. ConfigError where there is none."""
    word = text.strip().lower()
    try:
        return catalogue.find(text, model)
    except ConfigError as error:
        unknown = error
    defaults = IMAGENET_NETWORKS if word.startswith("imagenet") else (default,)
    for network in defaults if default and not model else ():
        with suppress(ConfigError):
            return catalogue.find(text, network)
    raise unknown


def _refuse_path(text: str) -> None:
    """CheckpointError for a path at which nothing is, which is no name."""
    if Path(text).is_dir() and ("/" in text or text.startswith(".")):
        raise CheckpointError(f"{text} is a folder without weights: give a file, a saved folder or a run")
    if Path(text).suffix.lower() in SUFFIXES or text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise CheckpointError(f"no weights at {text}: give an existing file, folder or run, or a name")
    if "/" in text and not _entry_of_hub(text):
        raise CheckpointError(
            f"no weights at {text}: give an existing file, folder or run, or hf:{text} for the hub"
        )


def _open_entry(entry: ReleasedWeights, *, download: bool, listen: Callable[[Event], None]) -> OpenedWeights:
    path = fetch.cached(entry)
    if path is None and download:
        check_licence(entry)
        path = fetch.fetch(entry, listen=listen)
    if path is None:
        raise ConfigError(
            f"{entry.name} is not on this machine, and nothing is downloaded here: "
            f"`residua weights get {entry.name}` does it"
        )
    return _of_entry(entry, path, describe(entry, path))


def _of_entry(entry: ReleasedWeights, file: Path, note: str) -> OpenedWeights:
    """The published weights in `file`, of which `note` is a line for people."""
    arch = entry_arch(entry)
    origin = Provenance(entry.name, entry.licence, digest_of(file), entry.training_data, entry.source)
    return OpenedWeights(
        file,
        arch,
        entry.preprocess,
        catalogue.class_names(entry),
        entry.dialect,
        title=entry.name,
        provenance=origin,
        is_published=True,
        notes=tuple(filter(None, (note, strides(arch)))),
    )


def entry_arch(entry: ReleasedWeights) -> Arch:
    """The network of a row of the catalogue, with its Preprocess and as many classes as it names."""
    arch = replace(arch_of(entry.model), preprocess=entry.preprocess)
    classes = catalogue.class_names(entry)
    return replace(arch, classes=len(classes)) if classes else arch


def describe(entry: ReleasedWeights, path: Path) -> str:
    """`resnet18.timm.a1: 46.8 MB, licence apache-2.0, ImageNet-1k, published top-1 71.5 % (one crop)`."""
    top1 = f", published top-1 {entry.top1:g} % ({entry.protocol})" if entry.top1 is not None else ""
    size = format_bytes(path.stat().st_size)
    return f"{entry.name}: {size}, licence {entry.licence}, trained on {entry.training_data}{top1}"


def strides(arch: Arch) -> str:
    """Where a network with a look-alike strides, which its file does not say; empty for others."""
    if not zoo.look_alikes(original_name(arch.name)):
        return ""
    halving = (block for block in arch.residual_blocks() if block.stride() > 1 and len(block.convs) == 3)
    if not (block := next(halving, None)):
        return ""
    is_first = block.convs[0].stride > 1
    place = "on the first 1x1 (V1)" if is_first else "on the 3x3 (V1.5)"
    return f"network {original_name(arch.name)}: it strides {place}, as the code that the file comes from"


def _repository(text: str) -> str:
    """`owner/name` of what begins with a prefix. ConfigError where it is no such name."""
    if text.startswith(TIMM):
        return hub_folder.timm_repository(text.removeprefix(TIMM).removeprefix("timm/"))
    name = next(text.removeprefix(prefix) for prefix in HUB if text.startswith(prefix))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"{text!r} names no repository of the hub: give hf:OWNER/NAME")
    return name


def _entry_of_hub(repository: str) -> ReleasedWeights | None:
    return next((entry for entry in catalogue.entries() if entry.hub == repository), None)


def _open_hub(repository: str, *, download: bool, listen: Callable[[Event], None]) -> OpenedWeights:
    """The weights of a repository; those of the catalogue as its row says."""
    if entry := _entry_of_hub(repository):
        return _open_entry(entry, download=download, listen=listen)
    name = f"hf:{repository}"
    is_here = caches.hub_files(repository, (hub_folder.CONFIG, FILE)) is not None
    if not (download or is_here):
        raise ConfigError(
            f"{name} is not on this machine, and nothing is downloaded here: leave --dry-run out"
        )
    folder = fetch.fetch_hub(repository, (hub_folder.CONFIG,), listen=listen)
    hub_folder.check_config(folder, name)  # before the weights are downloaded
    licence = hub_folder.licence(folder)
    if not is_here:
        check_stated_licence(name, licence)
    folder = fetch.fetch_hub(repository, (hub_folder.CONFIG, FILE), listen=listen)
    opened = _open_folder(folder, name)
    if opened.arch and not opened.detector:
        with torch.device("meta"):  # names and shapes are checked before any memory is taken for the network
            load(build(opened.arch), opened.path)
    origin = Provenance(name, licence, digest_of(folder / FILE), "", name)
    note = f"{name}: {format_bytes((folder / FILE).stat().st_size)}, licence {licence}"
    return replace(opened, title=name, provenance=origin, is_published=True, notes=(note, *opened.notes))


def _open_path(path: Path, model: str, file_of: Callable[[Path], Path]) -> OpenedWeights:
    """Weights that are on this machine: a run, a saved folder, a file of ours, or a file of others."""
    if path.is_dir() and not (path / STATES).is_dir():
        return _open_folder(path, str(path))
    file = file_of(path)
    if file.is_dir():
        raise CheckpointError(
            f"{path} holds no weights: give a run that has been trained, a folder or a file"
        )
    if is_ours(file) and "arch" in (facts := read_facts(file)):
        return _open_ours(file, facts, title=str(path))
    if entry := _published(file):
        return _of_entry(entry, file, f"{file.name} is {describe(entry, file)}")
    return _open_bare(file, model)


def _open_ours(file: Path, facts: dict[str, object], *, title: str) -> OpenedWeights:
    arch = from_plain(Arch, facts["arch"])
    detector = from_plain(Detector, facts["detector"]) if facts.get("detector") else None
    return OpenedWeights(
        file,
        arch,
        arch.preprocess,
        from_plain(tuple[str, ...], facts.get("classes", []), path="classes"),
        "residua",
        detector,
        title,
        provenance_of(facts),
    )


def _open_folder(folder: Path, title: str) -> OpenedWeights:
    """A folder as we save it, or as timm publishes it."""
    file = folder / FILE
    if is_ours(file) and "arch" in (facts := read_facts(file)):
        return replace(_open_ours(file, facts, title=title), path=folder)
    known = hub_folder.read_config(folder, title)
    check_size(known.arch, file)
    return OpenedWeights(
        file,
        known.arch,
        known.arch.preprocess,
        known.classes,
        title=title,
        notes=tuple(filter(None, (strides(known.arch),))),
    )


def _published(file: Path) -> ReleasedWeights | None:
    """The row of the catalogue whose file `file` is, whatever its name; None for others."""
    digest = digest_of(file)
    rows = (entry for entry in catalogue.entries() if entry.sha256)
    return next((entry for entry in rows if digest.startswith(entry.sha256)), None)


def _open_bare(file: Path, model: str) -> OpenedWeights:
    """A file that says nothing but names and shapes: its network is recognised where one alone fits."""
    if model:
        return OpenedWeights(file, None, None, title=str(file))
    state, _ = read_weights(file)
    fits = recognise(state)
    if len(fits) == 1:
        arch, dialect = fits[0]
        check_size(arch, file)
        note = f"network {arch.name}: the one whose names and shapes {file.name} has ({dialect.name})"
        reads = _preprocess_of_owner(dialect.name)
        alike = f"{file.name}: it reads what all published networks of {dialect.name} read" if reads else ""
        return OpenedWeights(
            file,
            arch,
            reads,
            dialect=dialect.name,
            title=str(file),
            notes=tuple(filter(None, (note, alike, strides(arch)))),
        )
    names = [arch.name for arch, _ in fits]
    reason = f"it fits {' and '.join(names)}" if names else "no listed network has its names and shapes"
    return OpenedWeights(file, None, None, title=str(file), notes=(f"{file}: {reason}",))


def _preprocess_of_owner(dialect: str) -> Preprocess | None:
    """What the networks of the one owner read whose names only these are; None for names that many use."""
    rows = [entry for entry in catalogue.entries() if entry.dialect == dialect]
    reads = {entry.preprocess for entry in rows}
    is_of_one = all(entry.name.split(".")[1] == dialect for entry in rows)
    return reads.pop() if is_of_one and len(reads) == 1 else None
