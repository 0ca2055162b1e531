"""Seconds from `residua train DATA` to its first line, to its data line, and to its first training line.

Each is measured twice: on a machine that has measured nothing (a fresh folder for caches), and again after
that. The command is stopped at its first training line. The peer is what we promise for it: 15 s.

    python benchmarks/first_line.py cifar10:DIR photos -m resnet18 --json
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import turns

LIMIT = 15.0
"""Seconds to the first training line that we promise."""
LINES = {"first line": "", "data line": "data ", "first training line": "step "}
"""What is waited for -> how that line begins."""
PEER = "the limit"
TIMES = ("the first time", "the second time")


def seconds_to_lines(data: str, options: list[str], cache: Path) -> dict[str, float]:
    """Seconds from the start of the command to each of LINES; the command is stopped at the last."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="residua-") as folder:
        command = [sys.executable, "-m", "residua", "train", data, *options, "-o", f"{folder}/run"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                for name, opening in LINES.items():
                    if line.startswith(opening):
                        seconds.setdefault(name, time.perf_counter() - began)
                if len(seconds) == len(LINES):
                    break
            process.send_signal(signal.SIGINT)
            process.stdout.read()
    if missing := LINES.keys() - seconds.keys():
        raise SystemExit(f"{' '.join(command)} ended without its {min(missing)}")
    return seconds


def rows(data: str, options: list[str], rounds: int) -> turns.Rows:
    """One row for each line, the first time and the second."""
    values: dict[str, list[float]] = {f"{when}: {name}": [] for when in TIMES for name in LINES}
    interrupted = False
    try:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="residua-cache-") as cache:
                runs = {when: seconds_to_lines(data, options, Path(cache)) for when in TIMES}
            for when, lines in runs.items():
                for name, seconds in lines.items():
                    values[f"{when}: {name}"].append(seconds)
    except KeyboardInterrupt:
        interrupted = True
    done = min(map(len, values.values()))
    measured = turns.Rounds(
        {name: each[:done] for name, each in values.items()} | {PEER: [LIMIT] * done}, interrupted
    )
    for name in values if done else ():
        yield turns.row_of_rounds(
            f"{Path(data).name}, {name}", measured, name, PEER, unit="s", less_is_better=True, digits=1
        )
    measured.stop()


def main() -> None:
    """Measure each DATA in turn, and print the rows."""
    parser = turns.parser(__doc__, rounds=3)
    parser.add_argument("data", nargs="+", metavar="DATA", help="as for `residua train`")
    parser.add_argument("-m", "--model", help="by default one that suits the data")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as for `residua train`"
    )
    args = parser.parse_args()
    words = ["-m", args.model] if args.model else []
    words += [word for setting in args.set for word in ("--set", setting)]
    turns.show((row for data in args.data for row in rows(data, words, args.rounds)), as_json=args.json)


if __name__ == "__main__":
    main()
