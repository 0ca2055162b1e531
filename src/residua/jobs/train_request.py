"""TrainRequest: what a user asks of a training run, and which weights follow from it."""

from dataclasses import dataclass, field, replace

from residua.data.listing import SourceListing
from residua.errors import ConfigError
from residua.jobs import probing
from residua.nn.network import Network
from residua.recipes import few_images
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.named_network import is_file, split_text
from residua.spec.recipe import Recipe, setting_path
from residua.weights.named import names_weights


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Arguments of a training run before defaults are resolved; None and empty mean the default."""

    source: str
    """The DATA argument: a folder, a label file, shards or a name such as `digits` or `voc:DIR`."""
    model: str | Arch | Network | None = None
    """A network by name, with changes where wanted, or as a value; the weights of a Network are the first."""
    recipe: str | Recipe | None = None
    """Name of a recipe, a JSON file, or the recipe itself."""
    weights: str = ""
    """The weights that training starts from: a name, a file, a folder or a run."""
    epochs: int | None = None
    """Passes over the training examples."""
    changes: tuple[tuple[str, str], ...] = ()
    """Paths of recipe fields, and their new values as text."""
    listing: SourceListing | None = None
    """Images that came from Python; `source` is then their name alone."""
    model_changes: Changes = field(default_factory=Changes)
    """Changes of the network, e.g. `frames`; they win over those in the name."""
    image_size: int | None = None
    """Side of the images that the network reads, in pixels; the size before the crop is in proportion."""
    minutes: float | None = None
    """Minutes that training with its validation, and the probe before it, may take."""
    from_scratch: bool = False
    """Whether no pretrained weights are taken by default."""
    folds: int | None = None
    """Folds of the cross-validation that measures the probe; 1 measures it on training images alone."""

    @property
    def settings(self) -> frozenset[str]:
        """Paths of the recipe that the user decides.

        Raises:
            ConfigError: There is no such path.
        """
        paths = {setting_path(name) for name, _ in self.changes}
        origin, changes = split_text(self.model) if isinstance(self.model, str) else ("", Changes())
        is_written = isinstance(self.model, Arch | Network) or is_file(origin)
        has_size = is_written or "img_size" in {*changes, *self.model_changes}
        decided = {
            "budget.epochs": self.epochs is not None,
            few_images.SIZE: has_size or self.image_size is not None,
            "weights": bool(self.weights),
        }
        return frozenset(paths | {path for path, is_decided in decided.items() if is_decided})


def may_take_weights(request: TrainRequest) -> bool:
    """Whether pretrained weights may be taken that nobody asked for."""
    is_plain = request.recipe is None and not request.from_scratch and not request.weights
    is_named = request.model is None or (
        isinstance(request.model, str) and not is_file(split_text(request.model)[0])
    )
    return is_plain and is_named and request.listing is None


def with_weights_of_model(request: TrainRequest) -> TrainRequest:
    """`request` with the weights that its network names: `timm:resnet18` is a network and its weights.

    Raises:
        ConfigError: Weights are refused and needed.
    """
    is_fine_tuning = request.recipe in probing.RECIPES
    if request.from_scratch and (request.weights or is_fine_tuning):
        raise ConfigError(
            f"training from scratch takes no weights, but {request.weights or request.recipe} needs them: "
            "leave one of the two out"
        )
    if request.recipe == "probe" and request.epochs is not None:
        raise ConfigError(f"epochs is {request.epochs}, but a probe trains none: leave one of the two out")
    if is_fine_tuning and not request.weights and not isinstance(request.model, Network):
        has_own = isinstance(request.model, str) and names_weights(request.model)
        request = request if has_own else replace(request, weights="auto")
    if not isinstance(request.model, str) or not names_weights(request.model):
        return request
    return replace(request, model=None, weights=request.weights or request.model)
