"""Messages between a `ClipReader` and its process. Imports neither PyAV nor Pillow nor torch.

reader                                        process
  Request as JSON                          ->
  the clip as bytes, if it is no file      ->
                                          <-   {"frames": N, "bytes": B}               "read" only
  frame numbers as JSON                    ->                                          "read" only
                                          <-   {...}, {"shape": [n, H, W, C]} or {"error": reason}
                                          <-   pixels as raw bytes                     after "shape"
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

ChooseFrames = Callable[[int, int], Sequence[int]]
"""From the number of frames in a clip and the bytes of one frame as it is returned, to the frame numbers to
read."""


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """Size and colour of the frames that are returned."""

    short_side: int = 0
    """Shorter side in pixels; 0 keeps the size."""
    colour: str = "rgb"
    """`rgb` or `grey`."""
    interpolation: str = "bilinear"
    """`bilinear` or `bicubic`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the process."""

    action: Literal["probe", "read", "count"]
    """Describe the clip, read frames, or decode all of it and count the frames."""
    file: str = ""
    """Absolute path of the clip; empty when its bytes follow."""
    format: FrameFormat = FrameFormat()
    """Format of the frames of `read`."""

    def to_json(self) -> bytes:
        """The request as it is sent."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Request":
        """The request that `to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["action"], fields["file"], FrameFormat(**fields["format"]))


class UnreadableClip(Exception):
    """A file that is no clip that can be decoded: the reason and a remedy, to follow the name of the file."""
