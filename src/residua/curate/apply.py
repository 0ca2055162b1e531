"""From the edited table of a clean to a manifest: a label file that says what to train on."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from residua.curate.actions import SUMMARY, read_actions
from residua.data.listing import listed, parted
from residua.data.manifest import ManifestEntry, check_out, entries, split_name, write_manifest
from residua.data.sources.table import find
from residua.data.split import SHARE
from residua.errors import DataError


@dataclass(frozen=True, slots=True)
class Applied:
    """What an application did."""

    source: str
    """The images that the table speaks of."""
    kept: int
    """Images listed as they were."""
    relabelled: int
    """Images listed with another class."""
    dropped: int
    """Images that are not listed."""
    new: int
    """Images that came after the clean: not listed."""
    splits: dict[str, int]
    """Images by split."""


def apply(table: Path, out: Path, *, force: bool = False) -> Applied:
    """Write to `out` what the edited `table` of a clean says; the images stay where they are.

    The split of the cleaned source is written down, so that before and after are judged by the same images.
    ValueError for a table that cannot be used, FileExistsError unless `force`, DataError for images that are
    gone, or classes of which no image to learn from is left.
    """
    check_out(out, force=force)
    actions, source = read_actions(table), _source(table)
    train, test, _ = parted(find(source), holdout=SHARE)
    found, lines, count = set(), [], Counter[str]()
    for images, split in ((train, "train"), (test, split_name(test))):
        for i, entry in enumerate(entries(images, split)):
            title = images.title(i)
            if title not in actions:
                count["new"] += 1
                continue
            found.add(title)
            label, action = actions[title]
            changed = action != "drop" and label != entry.label
            count["drop" if action == "drop" else "relabel" if changed else "keep"] += 1
            if action != "drop":
                lines.append(ManifestEntry(entry.path, label, split))
    if gone := [path for path in actions if path not in found]:
        raise DataError(
            f"{table} lists {listed(gone, most=3)}, which {source} lacks: put it back, or clean anew"
        )
    _check(lines)
    write_manifest(out, lines, force=force)
    splits = dict(Counter(line.split for line in lines))
    return Applied(source, count["keep"], count["relabel"], count["drop"], count["new"], splits)


def _source(table: Path) -> str:
    """The source that `table` speaks of, from the summary beside it."""
    summary = table.parent / SUMMARY
    try:
        return str(json.loads(summary.read_text("utf-8"))["source"])
    except (OSError, ValueError, LookupError, TypeError):
        raise ValueError(
            f"{table} has no {SUMMARY} beside it that names its images: leave it in its folder"
        ) from None


def _check(lines: list[ManifestEntry]) -> None:
    learned = {line.label for line in lines if line.split == "train"}
    lost = sorted({line.label for line in lines} - learned)
    if lost:
        raise DataError(
            f"class {listed(lost)} would have no image to learn from: keep some, or drop all of it"
        )
    if len(learned) < 2:
        raise DataError(f"{len(learned)} class would be left: keep 2 or more")
