"""First weights that come from Python: in a file while a run is prepared, then in the run itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from residua.errors import ConfigError
from residua.nn.network import Network
from residua.runs.run import Run
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
            f"{len(frozen)} parameters of {name} are frozen, e.g. {frozen[0]}, but a run trains all: "
            "call network.requires_grad_()"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / FIRST_WEIGHTS
        store_weights(model, file)
        yield str(file)


def store_weights(network: Network, file: Path) -> None:
    """Write the weights of `network` and what it is to `file`, which `TrainRequest.weights` may name."""
    publish(file, network.state_dict(), {"kind": "weights", **network.facts})


def first_weights_file(run: Path) -> Path:
    """Where the run at `run` stores first weights that came from Python."""
    return Run(run).checkpoints / FIRST_WEIGHTS
