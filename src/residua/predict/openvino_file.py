"""What OpenVINO would compute while it compiles a model, measured before it does.

Whatever depends on constants alone is computed then, and a constant of a few bytes may be repeated to any
size. This file needs no torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from residua.errors import CheckpointError

if TYPE_CHECKING:
    import openvino

ROOM = 32 << 20
"""Bytes that are computed of constants, whatever the size of the file."""
SHARE = 12
"""As many times the size of the file besides: 8-bit weights become float32 in up to three steps."""


def check_constants(model: "openvino.Model", path: Path, size: int) -> None:
    """Check how much of a model is computed of constants alone.

    Args:
        model: As it was read.
        path: Its file, for messages.
        size: Bytes of its files.

    Raises:
        CheckpointError: It is more than a model of `residua export` needs, or of a size that is not known.
    """
    constants: set[str] = set()
    computed = 0
    for operation in model.get_ordered_ops():
        sources = [value.get_node().get_name() for value in operation.input_values()]
        kind = operation.get_type_name()
        is_shape = kind == "ShapeOf" and operation.input(0).get_partial_shape().is_static
        if kind == "Constant":
            constants.add(operation.get_name())
        elif is_shape or (sources and constants.issuperset(sources)):
            constants.add(operation.get_name())
            for output in operation.outputs():
                is_known = output.get_partial_shape().is_static
                computed += output.get_tensor().size if is_known else ROOM + SHARE * size + 1
    if computed > ROOM + SHARE * size:
        raise CheckpointError(
            f"{path} makes large tensors of small constants: give a file that `residua export` wrote"
        )
