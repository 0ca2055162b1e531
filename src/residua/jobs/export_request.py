"""ExportRequest: what is exported, and into which files; everything is checked before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from residua.errors import ConfigError, MissingPackageError
from residua.files import check_is_free
from residua.predict.export.facts import Takes
from residua.predict.export.int8 import MAX_DROP
from residua.predict.export.int8_targets import int8_target
from residua.predict.export.layouts import Layout, check_layout, layout_entries
from residua.predict.export.targets import Target, target_named


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a user asks to be exported."""

    trained: Path
    """A run, a saved folder, a checkpoint file or published weights by name."""
    to: tuple[str, ...] = ("onnx",)
    """Names of targets."""
    takes: Takes = "inputs"
    """What the graphs read."""
    int8: bool = False
    """Whether the files compute in 8 bits."""
    max_drop: float = MAX_DROP
    """Of int8: most top-1 accuracy that may be lost, in percentage points."""
    verify: object = None
    """Images on which the files are compared, and by which int8 is calibrated; None for those of the run."""
    out: Path | None = None
    """Folder to write to, for one target also a file; None is the current folder."""
    layout: Layout | None = None
    """The server whose folder is written, in place of the file alone."""
    force: bool = False
    """Whether files that exist are replaced."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise ConfigError(f"--max-drop {self.max_drop:g}: give percentage points from 0 to 100")

    @property
    def stem(self) -> str:
        """Name of the network in the names of files."""
        path = self.trained
        name = path.stem if path.is_file() else path.resolve().name if path.exists() else path.name
        return f"{name}-int8" if self.int8 else name

    def folder(self) -> Path:
        """The folder that is written to. ConfigError where something else is in its place."""
        file = self._file(self.targets())
        folder = file.parent if file else self.out or Path()
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file, not a folder: write elsewhere")
        return folder

    def targets(self) -> tuple[Target, ...]:
        """The targets that are named.

        Raises:
            ConfigError: There is no such target, or it cannot be written here.
            MissingPackageError: A package that it needs is not installed.
        """
        targets = tuple(target_named(name) for name in dict.fromkeys(self.to))
        if self.layout and len(targets) > 1:
            raise ConfigError(f"--layout {self.layout} holds one file: give one target with --to")
        for target in targets:
            packages = int8_target(target.name).packages if self.int8 else target.packages
            for package in packages:
                if find_spec(package) is None:
                    install = f"pip install 'residua[{packages[0]}]'"
                    raise MissingPackageError(
                        f"{target.name} needs {package}, which is not installed: {install}"
                    )
            target.check()
            if self.layout:
                check_layout(self.layout, f"{self.stem}{target.suffix}")
        return targets

    def files(self) -> dict[Target, Path]:
        """Where each target is written.

        Raises:
            ConfigError: As `targets` and `folder`.
            MissingPackageError: As `targets`.
            FileExistsError: A file exists, without `force`.
        """
        targets, folder = self.targets(), self.folder()
        file = self._file(targets)
        files = {target: file or folder / f"{self.stem}{target.suffix}" for target in targets}
        seconds = [
            file.with_suffix(target.second_suffix) for target, file in files.items() if target.second_suffix
        ]
        entries = [*files.values(), *seconds]
        if self.layout:
            entries = [folder / entry for entry in layout_entries(self.layout, self.stem)]
        check_is_free(*entries, force=self.force)
        return files

    def _file(self, targets: Sequence[Target]) -> Path | None:
        """The file that `out` names for the only target; None where it names a folder."""
        is_file = self.out and len(targets) == 1 and self.out.name.endswith(targets[0].suffix)
        return self.out if is_file and not self.layout and self.out and not self.out.is_dir() else None
