"""Weights of any source into a network, and out again under that source's names.

`load` translates the names, adapts shapes where that keeps the meaning, checks everything, and only then
writes into the network. A file of another network is refused with the name of that network where it is known.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from residua.errors import CheckpointError, ConfigError
from residua.nn.network import Network, build
from residua.spec import zoo
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.change import OPENINGS, SHORTCUTS
from residua.spec.changes import Changes
from residua.spec.describe import cost, first_difference
from residua.spec.dilate import like
from residua.spec.inflate import for_images
from residua.spec.named_network import apply_changes, original_name
from residua.spec.orders import ORDERS
from residua.spec.record import from_plain, nearest
from residua.spec.walk import layers
from residua.weights import same_tensors
from residua.weights.adapt import Inflation, adapt_channels, inflate_state
from residua.weights.dialect import Dialect, listed, translate
from residua.weights.foreign import read_foreign
from residua.weights.store import is_ours, read
from residua.weights.tables import DIALECTS

PREFIX, AVERAGE = "model.", "average."
"""Prefixes of the weights and of their running mean in a checkpoint, which holds other tensors too."""
FILE = "model.safetensors"
"""The weights in a folder that `residua.save` wrote, and in most folders of a hub."""
FIRST = "stem.conv1.weight"
"""The first convolution."""
LEAST_BYTES = 2
"""Bytes that a weight takes in a file, at least."""
LAYERS, LAYER_BYTES = 1024, 512
"""Most layers of a network: so many, and one more for each 512 bytes of the file with its weights."""
TRIALS: tuple[Changes, ...] = (
    *(Changes(shortcut=option) for option in SHORTCUTS),
    *(Changes(opening=opening) for opening in OPENINGS),
    *(Changes(order=order) for order in ORDERS),
    *(Changes(shortcut=option, order=order) for order in ORDERS for option in SHORTCUTS),
)
"""Changes that are tried when weights do not fit, until one fits."""
MAX_DEPTH_OF_TRIALS = 400
"""Layers of the deepest network for which changes are tried and compared: deeper ones take seconds each."""
OTHER_NETWORKS = (
    (
        r"(layer\d+\.\d+\.)?prelu\.weight",
        "insightface's IResNet for faces, another network with the same name as Duta's iResNet: "
        "load it with insightface",
    ),
    (
        r".*\bbottleneck_block\..+",
        "the invertible i-ResNet (Behrmann et al. 2019), another network: load it with its authors' code",
    ),
    (
        r"(layer\d+\.\d+\.)?conv\d+\.bias",
        "a network whose convolutions have a bias before their norm, as in ports from Caffe and Keras, which "
        "stride on the first 1x1: subtract each bias from the running mean of the norm behind it, drop it, "
        "and load the rest into the `_v1` network",
    ),
)
"""Pattern of a tensor name, the network that has it, and what to do. None of ours has such a tensor."""


def load(
    network: Network,
    weights: Path | str | Mapping[str, Tensor],
    *,
    source: str = "auto",
    inflation: Inflation = "centre",
) -> str:
    """Fill `network` with weights.

    What differs is adapted where that keeps the meaning: the last layer of another number of classes is left
    as it is, the first convolution for other channels is summed or repeated, windows of an image network get
    a length in time.

    Args:
        network: Filled in place; unchanged if an error is raised.
        weights: A file, a folder that `residua.save` wrote, or a state dict.
        source: Whose names the weights have, a key of `DIALECTS`; `auto` finds out.
        inflation: How windows of an image network get a length in time.

    Returns:
        One line: `122 tensors from torchvision names`, and each adaptation, e.g.
        `head re-initialised: 1000 -> 10`. It also names another network that a foreign file fits as well.

    Raises:
        CheckpointError: The file cannot be read, does not fit, or is of another network.
        ConfigError: `source` or `inflation` is unknown.
    """
    if inflation not in get_args(Inflation):
        raise ConfigError(f"no inflation {inflation!r}: give {' or '.join(get_args(Inflation))}")
    state, facts = (weights, {}) if isinstance(weights, Mapping) else read_weights(Path(weights))
    _refuse_other_arch(facts, network.arch)
    try:
        ours, report = _fit(network, state, source, inflation)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_advice(network, state, source)}") from None
    if "arch" not in facts:
        for name in _look_alikes(network.arch):
            report.append(f"the file fits {name} as well: check which of the two it is of")
        report += _kind_of_shortcut(network, ours)
    own = network.state_dict()
    with torch.no_grad():
        for key, value in ours.items():
            own[key].copy_(value)
    return ", ".join(report)


def _fit(
    network: Network, state: Mapping[str, Tensor], source: str, inflation: Inflation = "centre"
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of `state` by our names in the shapes of `network`, and what was done.

    Raises:
        CheckpointError: They do not fit.
        ConfigError: `source` is unknown.
    """
    own = network.state_dict()
    dialect = dialect_of(network, state, source=source)
    state, report = _without_dropped(state, dialect)
    ours = translate(state, dialect, own, to="ours")
    report.insert(0, f"{quantity(len(state), 'tensor')} from {dialect.name} names")
    ours, longer = inflate_state(ours, own, how=inflation)
    if longer:
        report.append(f"{quantity(longer, 'window')} inflated over time ({inflation})")
    head = head_keys(network)
    if _differ_in_classes(ours, own, head):
        report.append(f"head re-initialised: {len(ours[head[0]])} -> {len(own[head[0]])}")
        ours = {key: value for key, value in ours.items() if key not in head}
    if FIRST in ours and _differ_in_channels(ours[FIRST], own[FIRST]):
        there, here = ours[FIRST].shape[1], own[FIRST].shape[1]
        report.append(f"first convolution adapted: {there} -> {quantity(here, 'channel')}")
        ours = {**ours, FIRST: adapt_channels(ours[FIRST], here)}
    _check_shapes(ours, own, network.arch.name)
    return ours, report


def _advice(network: Network, state: Mapping[str, Tensor], source: str) -> str:
    """`. They fit it with shortcut=B: ...` where a change of the network takes the weights, else empty."""
    arch = network.arch
    if _is_shapeless(network) or arch.depth() > MAX_DEPTH_OF_TRIALS:
        return ""
    for change in TRIALS:
        try:
            changed = apply_changes(arch, **change)
            if changed == arch:
                continue
            with torch.device("meta"):
                candidate = build(changed)
            _fit(candidate, state, source)
        except (CheckpointError, ConfigError):
            continue
        words = ",".join(f"{option}={value}" for option, value in change.items())
        return f". They fit {original_name(arch.name)} with {words}: create it so"
    return ""


def _is_shapeless(network: Network) -> bool:
    """Whether the network is only tried, on the device without memory."""
    return next(network.parameters()).is_meta


def _kind_of_shortcut(network: Network, ours: Mapping[str, Tensor]) -> list[str]:
    """What is to be said where networks with other shortcuts have the same tensors: one text or none.

    Args:
        network: The network before it is filled.
        ours: Weights for it, by our names; where one is missing, its own stays.
    """
    if not same_tensors.same_tensors(network.arch) or _is_shapeless(network):
        return []
    text = same_tensors.note(same_tensors.kind_of(network.arch), kind_distances(network, ours))
    return [text] if text else []


def kind_distances(network: Network, ours: Mapping[str, Tensor]) -> dict[str, float]:
    """How far weights are from each network with the same tensors, as `same_tensors.distances` measures it.

    Args:
        network: The network before it is filled; on the meta device where `ours` has all its weights.
        ours: Weights for it, by our names; where one is missing, its own counts.

    Returns:
        Key of `same_tensors` -> distance; empty for very deep networks, and where weights cannot tell.
    """
    family = same_tensors.same_tensors(network.arch)
    values = [ours.get(key, value) for key, value in network.state_dict().items()]
    states = {}
    for kind, arch in family.items() if network.arch.depth() <= MAX_DEPTH_OF_TRIALS else ():
        with torch.device("meta"):
            names = build(arch).state_dict()  # in the same order, with other names for a plain network
        states[kind] = dict(zip(names, values, strict=True))
    return same_tensors.distances(family, states)


def save_as(network: Network, source: str) -> dict[str, Tensor]:
    """The network's weights under the names of `source`; the tensors are shared, not copied.

    Raises:
        CheckpointError: `source` has no names for a layer of the network.
        ConfigError: `source` is unknown.
    """
    own = network.state_dict()
    return translate(own, _dialect(network, source), own, to="theirs")


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file or a saved folder, under its names, and the facts of a file of ours.

    A checkpoint with averaged weights gives those, which are the ones that were evaluated.

    Raises:
        CheckpointError: As `store.read` and `foreign.read_foreign`.
    """
    path = path / FILE if (path / FILE).is_file() else path
    if not is_ours(path):
        return read_foreign(path), {}
    tensors, facts = read(path)
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    return of_model(tensors, AVERAGE if averaged else PREFIX), facts


def check_size(arch: Arch, path: Path) -> None:
    """Check that a file may hold the weights of a network, before memory is taken for that network.

    Args:
        arch: What the file, or another one beside it, says of the network.
        path: The file with the weights, or a saved folder.

    Raises:
        CheckpointError: The network has more weights or layers than a file of this size holds.
    """
    path = path / FILE if path.is_dir() else path
    size, count, weights = path.stat().st_size, len(layers(arch)), cost(arch).params
    if count > LAYERS + size // LAYER_BYTES or LEAST_BYTES * weights > size:
        raise CheckpointError(
            f"{path} holds {size:,} bytes, too few for {arch.name[:100]!r} with {weights:,} weights in "
            f"{count:,} layers: take network and weights from one place"
        )


def of_model(tensors: Mapping[str, Tensor], prefix: str = PREFIX) -> dict[str, Tensor]:
    """The weights among the `tensors` of a file of ours, without `prefix`; all of them if none has it."""
    model = {k.removeprefix(prefix): value for k, value in tensors.items() if k.startswith(prefix)}
    return model or dict(tensors)


def dialect_of(network: Network, state: Mapping[str, Tensor], *, source: str = "auto") -> Dialect:
    """The table that translates the names of `state`.

    Args:
        network: The network to load into.
        state: Weights under foreign names.
        source: A key of `DIALECTS`; `auto` takes the table that shares most names with `state`.

    Raises:
        CheckpointError: A name shows that the weights are of another network.
        ConfigError: `source` is unknown.
    """
    own = network.state_dict()
    tables = (
        [_dialect(network, source)] if source != "auto" else [make(network) for make in DIALECTS.values()]
    )
    best = max(tables, key=lambda table: len(set(state).intersection(table.known(own).values())))
    _refuse_other_network(set(state) - set(best.known(own).values()))
    return best


def _dialect(network: Network, source: str) -> Dialect:
    if source not in DIALECTS:
        raise ConfigError(f"no source {source!r}: {nearest(str(source), DIALECTS)}")
    return DIALECTS[source](network)


def _refuse_other_network(unread: Iterable[str]) -> None:
    for name in unread:
        for pattern, meaning in OTHER_NETWORKS:
            if re.fullmatch(pattern, name):
                raise CheckpointError(f"{name} is of {meaning}")


def _refuse_other_arch(facts: Mapping[str, Any], arch: Arch) -> None:
    """Refuse a file of ours whose network computes something else than `arch`, which may be it, inflated."""
    if "arch" not in facts:
        return
    theirs = like(from_plain(Arch, facts["arch"]), arch)
    if difference := first_difference(theirs, arch if theirs.has_time else for_images(arch)):
        raise CheckpointError(
            f"the weights are of {theirs.name}, not {arch.name}: {difference}: create that network"
        )


def _look_alikes(arch: Arch) -> list[str]:
    """Networks with the tensor names and shapes of `arch`, if that is a listed network, maybe inflated."""
    name = original_name(arch.name)
    if name not in zoo.NAMES:
        return []
    listed = zoo.arch(name)
    is_listed = not first_difference(listed, arch if listed.has_time else for_images(arch))
    return zoo.look_alikes(name) if is_listed else []


def _without_dropped(state: Mapping[str, Tensor], dialect: Dialect) -> tuple[Mapping[str, Tensor], list[str]]:
    dropped = [name for name in state if dialect.drops and re.fullmatch(dialect.drops, name)]
    if not dropped:
        return state, []
    return {name: state[name] for name in state if name not in dropped}, [
        f"{len(dropped)} left out that only training uses: {listed(dropped)}"
    ]


def head_keys(network: Network) -> list[str]:
    """Names of the weight and bias of the last linear layer."""
    name = list(network.head._modules)[-1]
    return [key for key in network.state_dict() if key.startswith(f"head.{name}.")]


def _differ_in_classes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], head: list[str]) -> bool:
    pairs = [(ours[key].shape, own[key].shape) for key in head]
    return bool(pairs) and all(len(a) and a[1:] == b[1:] and a[0] != b[0] for a, b in pairs)


def _differ_in_channels(theirs: Tensor, own: Tensor) -> bool:
    a, b = theirs.shape, own.shape
    return len(a) in (4, 5) and (a[0], *a[2:]) == (b[0], *b[2:]) and 0 < a[1] != b[1]


def _check_shapes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str) -> None:
    wrong = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in ours.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise CheckpointError(f"weights do not fit {model}: {listed(wrong)}: choose the network they are of")
