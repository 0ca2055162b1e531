"""Comparisons of runs: every network is evaluated on all test images, which takes seconds to minutes.

The last few stay in memory until a run changes.
"""

from collections import OrderedDict
from pathlib import Path

from residua.jobs.compare import Pair, compare
from residua.lab.folder_contents import files_of

MAX_COMPARISONS = 3
"""Comparisons in memory."""


class Comparisons:
    """The last few comparisons."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Path, ...], tuple[float, list[Pair]]] = OrderedDict()

    def pairs(self, paths: tuple[Path, ...]) -> list[Pair]:
        """The comparison of the first of `paths` with each of the others.

        Raises:
            ResiduaError: As `jobs.compare.compare`.
        """
        files = [file for path in paths for file in files_of(path)]
        latest = max((file.stat().st_mtime for file in files), default=0.0)
        known = self._known.get(paths)
        if known is None or known[0] != latest:
            self._known[paths] = latest, compare(paths)
        self._known.move_to_end(paths)
        while len(self._known) > MAX_COMPARISONS:
            self._known.popitem(last=False)
        return self._known[paths][1]
