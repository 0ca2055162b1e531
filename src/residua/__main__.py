"""`python -m residua` and the command `residua`; one line where a package of the command line is missing."""

import sys

from residua.errors import INTERRUPTED, MissingPackageError, missing_package


def main() -> None:
    """Run the command in `sys.argv`; always leaves through `SystemExit`."""
    try:
        from residua.cli import main as run
    except ImportError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        sys.stderr.write(f"residua: {missing}\n")
        sys.exit(MissingPackageError.exit_code)
    except KeyboardInterrupt:  # the imports take a part of a second; later `cli.main` answers Ctrl-C
        sys.stderr.write("residua: interrupted before it was finished\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":  # a process started for a contest imports this file too
    main()
