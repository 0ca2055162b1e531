"""Apply the edited table of a clean: write a manifest, a label file to train on."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from residua.curate.actions import SUMMARY, read_actions
from residua.data.listing import quote_names, split_listing
from residua.data.manifest import (
    ManifestEntry,
    manifest_entries,
    split_name,
    write_manifest,
)
from residua.data.open import find
from residua.data.split import VAL_FRACTION
from residua.errors import ConfigError, DataError
from residua.files import check_output_path


@dataclass(frozen=True, slots=True)
class ApplySummary:
    """What the edited table changed."""

    source: str
    """The source of the images in the table."""
    unchanged: int
    """Images listed with their label."""
    relabelled: int
    """Images listed with another label."""
    dropped: int
    """Images left out by the table."""
    new: int
    """Images added to the source after the clean: left out."""
    splits: dict[str, int]
    """Split -> listed images."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def apply(table: Path, out: Path, *, force: bool = False) -> ApplySummary:
    """Write a manifest of the images that the edited table of a clean keeps; no image is changed or moved.

    The manifest records the split of the source, so that networks trained before and after are evaluated on
    the same validation images.

    Args:
        table: The edited clean.csv, in the folder where the clean wrote it.
        out: The manifest, in a folder above the images.
        force: Replace a manifest that exists.

    Raises:
        ConfigError: The table cannot be used.
        FileExistsError: `out` exists, without `force`.
        DataError: Images of the table are missing, or a class would have no training image.
    """
    check_output_path(out, force=force, suffixes=(".csv",))
    actions, source = read_actions(table), source_of_table(table)
    train, test, _ = split_listing(find(source), val_fraction=VAL_FRACTION)
    titles, lines, count = set(), [], Counter[str]()
    for images, split in ((train, "train"), (test, split_name(test))):
        for i, entry in enumerate(manifest_entries(images, split)):
            title = images.title(i)
            if title not in actions:
                count["new"] += 1
                continue
            titles.add(title)
            label, action = actions[title]
            changed = action != "drop" and label != entry.label
            count["drop" if action == "drop" else "relabel" if changed else "keep"] += 1
            if action != "drop":
                lines.append(ManifestEntry(entry.path, label, split))
    if missing := [path for path in actions if path not in titles]:
        raise DataError(
            f"{table} lists {quote_names(missing, most=3)}, which {source} lacks: restore it, or clean again"
        )
    _require_training_images(lines)
    write_manifest(out, lines, force=force)
    splits = dict(Counter(line.split for line in lines))
    return ApplySummary(source, count["keep"], count["relabel"], count["drop"], count["new"], splits)


def source_of_table(table: Path) -> str:
    """The source of the images in `table`, from the summary in its folder. ConfigError where it is lost."""
    summary = table.parent / SUMMARY
    try:
        return str(json.loads(summary.read_text("utf-8"))["source"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise ConfigError(
            f"{table.parent} has no {SUMMARY} that names the source: leave the table where clean wrote it"
        ) from None


def _require_training_images(lines: list[ManifestEntry]) -> None:
    trained = {line.label for line in lines if line.split == "train"}
    untrained = sorted({line.label for line in lines} - trained)
    if untrained:
        raise DataError(
            f"class {quote_names(untrained)} would have no training image: keep some, or drop all images"
        )
    if len(trained) < 2:
        raise DataError(f"{len(trained)} class would be left: keep 2 or more")
