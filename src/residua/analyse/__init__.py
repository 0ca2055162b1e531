"""Studies that show why a network works; each is one file that measures, draws and explains.

The functions here measure one network and return numbers. Images are preprocessed tensors (N, C, H, W) and
labels are (N,). A study works on a copy of the network and asserts that the network itself is unchanged.
`table.py` lists all studies. Names are imported when first used: the command line reads it without torch.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residua.analyse.activations import main_path
    from residua.analyse.cam import grad_cam
    from residua.analyse.features import feature_maps
    from residua.analyse.field import effective_field
    from residua.analyse.gradients import gradient_norms
    from residua.analyse.identity import identity_errors
    from residua.analyse.landscape import loss_slice
    from residua.analyse.lesion import lesion_study
    from residua.analyse.occlusion import occlusion_sensitivity
    from residua.analyse.paths import path_lengths
    from residua.analyse.responses import layer_responses

__all__ = [
    "effective_field",
    "feature_maps",
    "grad_cam",
    "gradient_norms",
    "identity_errors",
    "layer_responses",
    "lesion_study",
    "loss_slice",
    "main_path",
    "occlusion_sensitivity",
    "path_lengths",
]

_MODULES: Mapping[str, str] = {
    "effective_field": "residua.analyse.field",
    "feature_maps": "residua.analyse.features",
    "grad_cam": "residua.analyse.cam",
    "gradient_norms": "residua.analyse.gradients",
    "identity_errors": "residua.analyse.identity",
    "layer_responses": "residua.analyse.responses",
    "lesion_study": "residua.analyse.lesion",
    "loss_slice": "residua.analyse.landscape",
    "main_path": "residua.analyse.activations",
    "occlusion_sensitivity": "residua.analyse.occlusion",
    "path_lengths": "residua.analyse.paths",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'residua.analyse' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
