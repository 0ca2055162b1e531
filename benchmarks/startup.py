"""What a command costs before it works: CPU seconds of `residua --help`, beside importing torch.

The best of five, user and system time, so that other processes hardly count. Both load no torch, which alone
takes seconds (`tests/architecture/test_layers.py` checks that); 0.3 s for the help is the aim.
"""

import resource
import subprocess
import sys

ROUNDS = 5
COMMANDS = {
    "python": ("-c", "pass"),
    "import residua": ("-c", "import residua"),
    "residua --help": ("-m", "residua", "--help"),
    "import torch": ("-c", "import torch"),
}


def cpu_seconds(*words: str) -> float:
    """User and system seconds of `python WORDS`, the best of ROUNDS."""
    seconds = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(seconds)


def main() -> None:
    """Print the seconds, and the ratio to those of importing torch."""
    seconds = {name: cpu_seconds(*words) for name, words in COMMANDS.items()}
    for name, each in seconds.items():
        print(f"{name:16} {each:6.3f} s   {each / seconds['import torch']:.3f} of importing torch")


if __name__ == "__main__":
    main()
