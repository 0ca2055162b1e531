"""Agreement: whether the logits of an engine are those of the float32 network; one rule for each precision.

float32          the largest difference is at most a thousandth of the range of an image's logits
bfloat16, int8   where the network is certain, the likeliest class is the same, and no logit is far away

The range is the largest logit of an image less its smallest: about 20 for ImageNet, a thousandth is 0.02.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EnginePrecision = Literal["float32", "bfloat16", "int8"]
"""Type of the numbers in which an engine computes convolutions."""
FLOAT32_LIMIT = 1e-3
"""Largest difference of float32 engines, as a share of the range."""
LOW_LIMIT = 0.2
"""Largest difference of other engines, as a share of the range: more is another function."""
CLEAR_MARGIN = 0.1
"""Distance of the two largest logits, as a share of the range, from which on the network is certain."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the logits of an engine compare with those of the float32 network, for the same views."""

    difference: float
    """Largest difference of two logits, as a share of the range of the logits of that image."""
    same_top1: float
    """Share of the images with the same likeliest class."""
    objection: str = ""
    """Why the engine cannot be used; empty where it agrees."""

    @property
    def is_good(self) -> bool:
        """Whether the engine agrees."""
        return not self.objection


def compare_logits(
    logits: NDArray[np.float32], reference: NDArray[np.float32], precision: EnginePrecision
) -> Agreement:
    """Compare the logits of an engine with those of the float32 network.

    Args:
        logits: Of the engine, (n, classes).
        reference: Of the network, for the same views, (n, classes).
        precision: In which the engine computes.
    """
    if logits.shape != reference.shape:
        return Agreement(np.inf, 0.0, f"its logits are {logits.shape} instead of {reference.shape}")
    span = np.ptp(reference, 1, keepdims=True) + np.finfo(np.float32).tiny
    shares = np.abs(logits - reference) / span
    is_same = logits.argmax(1) == reference.argmax(1)
    difference = float(shares.max()) if np.isfinite(logits).all() else np.inf
    limit = FLOAT32_LIMIT if precision == "float32" else LOW_LIMIT
    objection = ""
    if difference > limit:
        objection = f"a logit differs by {_percent(difference)} of the range, more than {_percent(limit)}"
    elif precision != "float32" and not is_same[_is_clear(reference, span)].all():
        objection = "another class for an image of which the network is certain"
    return Agreement(difference, float(is_same.mean()), objection)


def _is_clear(reference: NDArray[np.float32], span: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For each image, whether the likeliest class leads clearly."""
    second, first = np.partition(reference, -2, axis=1)[:, -2:].T
    is_clear: NDArray[np.bool_] = first - second > CLEAR_MARGIN * span[:, 0]
    return is_clear


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
