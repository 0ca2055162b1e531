"""Engine: what computes logits, whatever library it uses; nothing here needs torch.

An engine takes views, the uint8 squares that `data/eval_view.py` cuts, and normalises them itself: so all of
them are fed the same bytes and can be compared logit by logit.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """A network that is ready to compute on this machine; safe to call from one thread at a time."""

    @property
    def name(self) -> str:
        """How people read it: `onnxruntime`, `openvino int8`, `torch channels_last`."""

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views.

        Args:
            views: Views (n, C, S, S), n at least 1.

        Returns:
            (n, classes).
        """
