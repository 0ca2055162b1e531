"""`python -m residua` is the command `residua`."""

from residua.cli import main

if __name__ == "__main__":  # a process started for a contest imports this file too
    main()
