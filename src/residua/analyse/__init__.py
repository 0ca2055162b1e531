"""Read-only studies that show why a network works: each function takes it and gives numbers back.

Images are normalised tensors (N, C, H, W), labels (N,); networks are left as they were, and that is asserted.
"""

from residua.analyse.activations import main_path
from residua.analyse.field import effective_field
from residua.analyse.gradients import gradient_norms
from residua.analyse.identity import identity_errors
from residua.analyse.landscape import loss_slice
from residua.analyse.lesion import lesion_study
from residua.analyse.maps import feature_maps
from residua.analyse.paths import path_lengths
from residua.analyse.regions import grad_cam, occlusion
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
    "occlusion",
    "path_lengths",
]
