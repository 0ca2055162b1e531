"""What a command costs before it works: CPU seconds of `residua --help`, beside importing torch.

User and system time, so that other processes hardly count. Neither loads torch, which alone takes seconds
(`tests/architecture/test_layers.py` checks that); 0.3 s for the help is the aim.
"""

import resource
import subprocess
import sys
from functools import partial

import turns

PEER = "import torch"
COMMANDS = {
    "python": ("-c", "pass"),
    "import residua": ("-c", "import residua"),
    "residua --help": ("-m", "residua", "--help"),
    PEER: ("-c", "import torch"),
}


def cpu_seconds(*words: str) -> float:
    """User and system seconds of `python WORDS`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def rows(rounds: int) -> turns.Rows:
    """One row for each command."""
    sides = {name: partial(cpu_seconds, *words) for name, words in COMMANDS.items()}
    measured = turns.Session(rounds, 0.0, 0.0).take_turns(sides, unit="s")
    for name in COMMANDS:
        if name != PEER:
            yield turns.row_of_rounds(name, measured, name, PEER, unit="CPU s", less_is_better=True)
    measured.stop()


def main() -> None:
    """Print the seconds, and the ratio to those of importing torch."""
    args = turns.parser(__doc__, rounds=5).parse_args()
    turns.show(rows(args.rounds), as_json=args.json)


if __name__ == "__main__":
    main()
