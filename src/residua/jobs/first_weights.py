"""First weights that come from Python: in a file while a run is prepared, then in the run itself."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from residua.errors import ConfigError
from residua.nn.network import Network
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.named_network import apply_changes, spell
from residua.spec.record import to_plain
from residua.weights.load import head_keys
from residua.weights.store import publish

FIRST_WEIGHTS = "first.safetensors"
"""File among the checkpoints of a run: the weights before the first step."""


@contextmanager
def weights_in_file(model: object) -> Iterator[str]:
    """The path of a temporary file with the weights of `model`; "" where it is no Network.

    Raises:
        ConfigError: The network has no last layer, or frozen parameters, which a run would train.
    """
    if not isinstance(model, Network):
        yield ""
        return
    name = model.arch.name
    if not head_keys(model):
        raise ConfigError(f"{name} has no last layer: reset_classifier(n) makes one")
    if frozen := [key for key, parameter in model.named_parameters() if not parameter.requires_grad]:
        raise ConfigError(
            f"{name} has {quantity(len(frozen), 'frozen parameter')}, "
            f"e.g. {frozen[0]}, but a run trains all: "
            "call network.requires_grad_()"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / FIRST_WEIGHTS
        store_weights(model, file)
        yield str(file)


def model_facts(model: str | Arch | Network | None, changes: Changes) -> object:
    """A JSON value that is equal for equal networks: text stays text, a Network is its Arch and weights."""
    if isinstance(model, Network):
        digest = hashlib.sha256()
        for tensor in model.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {"arch": to_plain(apply_changes(model.arch, **changes)), "weights": digest.hexdigest()}
    if isinstance(model, Arch):
        return to_plain(apply_changes(model, **changes))
    return spell(model, changes) if model else (dict(changes) or None)


def store_weights(network: Network, file: Path) -> None:
    """Write the weights of `network` and what it is to `file`, which `TrainRequest.weights` may name."""
    publish(file, network.state_dict(), {"kind": "weights", **network.facts})


def first_weights_file(run: Path) -> Path:
    """Where the run at `run` stores first weights that came from Python."""
    return Run(run).checkpoints / FIRST_WEIGHTS
