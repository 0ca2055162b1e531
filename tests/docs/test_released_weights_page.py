"""The page of released weights lists the catalogue as it is."""

from pathlib import Path

from residua.weights import catalogue
from residua.weights.catalogue import ReleasedWeights

PAGE = (Path(__file__).parents[2] / "docs/reference/released-weights.md").read_text()


def row(entry: ReleasedWeights) -> str:
    """The line of an entry."""
    top1 = f"{entry.top1:g}" if entry.top1 is not None else "not published"
    digest = {0: "none", 8: "its beginning"}.get(len(entry.sha256), "whole")
    what, _, how = entry.verified.partition(":")
    verified = what if how else "nothing"
    cells = (
        f"`{entry.name}`",
        top1,
        entry.protocol,
        entry.licence,
        f"{entry.size / 1e6:.1f}",
        digest,
        verified,
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_lists_every_entry_as_the_catalogue_has_it() -> None:
    missing = [row(entry) for entry in catalogue.entries() if row(entry) not in PAGE]
    assert missing == []
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and "." in line.split("`")[1]]
    assert len(rows) == len(catalogue.entries())


def test_the_page_says_what_auto_means_for_every_network() -> None:
    for network in {entry.network for entry in catalogue.entries()}:
        if entry := catalogue.best(network):
            assert f"`{entry.name}`" in PAGE.split("## What `auto` means", 1)[1].split("##", 1)[0]
