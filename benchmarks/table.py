"""Markdown tables of what benchmarks printed with `--json`, one for each instruction set.

python benchmarks/train_cifar.py --json > build/train_cifar.json
python benchmarks/table.py build/*.json
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import turns

HEAD = ("script", "what", "ours", "peer", "ratio (95 %; rounds)", "of its convolutions alone", "date")


def cells(script: str, row: turns.Row) -> tuple[str, ...]:
    """One line of a table."""
    ratio = f"{row['ratio']:.2f}"
    details = []
    if "interval" in row:
        low, high = row["interval"]
        details.append(f"{low:.2f} to {high:.2f}")
    if "rounds" in row:
        details.append(str(row["rounds"]))
    ratio += f" ({'; '.join(details)})" * bool(details)
    if "noise" in row:
        ratio += f"; two of the peer {row['noise']:.2f}"
    ceiling = ""
    if "of_ceiling" in row:
        ceiling = f"{100 * row['of_ceiling']:.0f} % of {turns.number(row['ceiling'])}"
    what = f"{row['what']}, {row['unit']}" if row["unit"] else row["what"]
    numbers = turns.number(row["ours"]), f"{turns.number(row['peer'])}, {row['peer_name']}"
    return (f"`{script}`", what, *numbers, ratio, ceiling, row["date"])


def tables(documents: Iterable[tuple[str, dict[str, object]]]) -> str:
    """Markdown of (name of the script, its JSON document), by the instruction sets of the rows."""
    lines: dict[str, list[str]] = defaultdict(list)
    machines: dict[str, set[str]] = defaultdict(set)
    for script, document in documents:
        versions = ", ".join(f"{name} {version}" for name, version in dict(document["versions"]).items())
        for row in list(document["rows"]):
            lines[row["instructions"]].append(line(cells(script, row)))
            machines[row["instructions"]].add(f"{document['machine']}; {versions}")
    parts = []
    for name, rows in sorted(lines.items()):
        parts += [
            f"**{name}**",
            "",
            line(HEAD),
            line(["---"] * len(HEAD)),
            *rows,
            "",
            *sorted(machines[name]),
            "",
        ]
    return "\n".join(parts)


def line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="named after its script")
    files = parser.parse_args().files
    print(tables((f"{file.stem}.py", json.loads(file.read_text())) for file in files))


if __name__ == "__main__":
    main()
