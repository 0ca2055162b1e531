"""A power cut keeps what was synced, and of the rest any part: a run goes on from all of it (F3, F4)."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import residua as python
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.spec.recipe import Budget
from small import arch, file_of, recipe, rows, weights

Names = dict[str, int]
"""For each path on a disk the number of what is there."""
Contents = dict[int, bytes | None]
"""For each number the bytes of a file; None for a folder."""
Tree = dict[str, bytes | None]
"""What a disk holds after the cut."""
RESUMED = 6
"""From each so manieth disk training goes on to its end; in the others the newest state is looked for."""


@dataclass(frozen=True)
class Cut:
    """Everything that is known of a disk at one moment."""

    names: Names
    """Paths, as processes see them."""
    contents: Contents
    """What they see there."""
    synced_names: Names
    """Paths that outlive a cut, if those of their folders do."""
    synced: Contents
    """What outlives it there."""
    begun: bool
    """Whether the run was begun."""
    saved: int
    """The last step that was saved."""

    def trees(self) -> Iterator[Tree]:
        """What the disk may hold: all, what was synced, names without contents, contents torn at half."""
        empty = {number: seen and b"" for number, seen in self.contents.items()} | self.synced
        half = {number: seen and seen[: len(seen) // 2] for number, seen in self.contents.items()}
        both = self.synced_names | self.names
        kept = {path: number for path, number in self.synced_names.items() if path in self.names}
        yield _tree(self.names, self.contents)
        yield _tree(self.synced_names, empty)
        yield _tree(self.names, empty)
        yield _tree(self.names, half | self.synced)
        yield _tree(both, empty)  # what was removed is still there
        yield _tree(kept, empty)  # what was removed is gone, and what was made, too


def _tree(names: Names, contents: Contents) -> Tree:
    result = {path: contents.get(number, b"") for path, number in names.items()}
    return {path: held for path, held in result.items() if all(map(names.get, _folders(path)))}


def _folders(path: str) -> list[str]:
    return [str(folder) for folder in Path(path).parents][:-1]


class Disk:
    """A folder, and what would be left of it at every step of those who sync, rename and remove."""

    def __init__(self, root: Path) -> None:
        self.root, self.cuts = root, list[Cut]()
        self.begun, self.saved = False, 0
        self._numbers: dict[int, int] = {}  # ours, for systems use that of a removed file again
        self._count = itertools.count(1)
        self._synced_names: Names = {}
        self._synced: Contents = {}

    def _names(self) -> Names:
        inodes = {p: p.stat().st_ino for p in self.root.rglob("*") if p.name != ".lock"}
        here = set(inodes.values())
        self._numbers = {inode: self._numbers.get(inode) or next(self._count) for inode in here}
        return {str(p.relative_to(self.root)): self._numbers[inode] for p, inode in inodes.items()}

    def look(self) -> None:
        """Remember this moment."""
        names = self._names()
        paths = {number: self.root / path for path, number in names.items()}
        contents = {number: p.read_bytes() if p.is_file() else None for number, p in paths.items()}
        synced = dict(self._synced_names), dict(self._synced)
        self.cuts.append(Cut(names, contents, *synced, self.begun, self.saved))

    def sync(self, handle: int) -> None:
        """The file or folder of `handle` reaches the disk."""
        path, names = Path(os.readlink(f"/proc/self/fd/{handle}")), self._names()
        if path.is_file():
            self._synced[names[str(path.relative_to(self.root))]] = path.read_bytes()
        else:
            inside = {name: number for name, number in names.items() if (self.root / name).parent == path}
            self._synced |= {n: None for name, n in inside.items() if (self.root / name).is_dir()}
            others = self._synced_names.items()
            self._synced_names = {n: i for n, i in others if (self.root / n).parent != path} | inside

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look before and after every call that orders what reaches the disk."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "unlink", "fsync"):
                patch.setattr(os, name, self._watching(getattr(os, name), syncs=name == "fsync"))
            save = checkpoint.save

            def saving(folder: Path, *given: Any, **named: Any) -> Path:
                path = save(folder, *given, **named)
                self.saved = checkpoint.step_in_name(path)
                return path

            patch.setattr(checkpoint, "save", saving)
            yield

    def _watching(self, act: Callable[..., None], *, syncs: bool) -> Callable[..., None]:
        def watched(*given: Any, **named: Any) -> None:
            self.look()
            act(*given, **named)
            if syncs:
                self.sync(given[0])
            self.look()

        return watched


def write(tree: Tree, root: Path) -> Run:
    """The run on a new disk that holds `tree`."""
    root.mkdir()
    for path, content in sorted(tree.items()):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
    return Run(root / "run")


def test_a_run_goes_on_from_whatever_a_power_cut_leaves(photos: Path, tmp_path: Path) -> None:
    run_recipe = recipe("", arch=arch(), budget=Budget(epochs=2, batch_size=12, save_seconds=0.0))
    train_request = TrainRequest(str(photos), recipe=str(file_of(run_recipe, tmp_path / "recipe.json")))
    disk = Disk(tmp_path / "disk")
    disk.root.mkdir()
    prepared = prepare(train_request)
    with disk.watched():
        run = create_run(prepared, disk.root / "run")
        disk.begun = True
        fit_run(run, prepared)
    assert run.finished
    left = {tuple(sorted(tree.items())): cut.saved for cut in disk.cuts if cut.begun for tree in cut.trees()}
    assert len(left) > 40
    for number, (tree, saved) in enumerate(left.items()):
        there = write(dict(tree), tmp_path / str(number))
        state = checkpoint.load_newest(there.checkpoints)
        assert (checkpoint.step_in_name(state.path) if state else 0) >= saved
        if number % RESUMED == 0 or there.finished:
            python.resume(there.path)
            assert (weights(there), rows(there)) == (weights(run), rows(run))
            assert there.finished
