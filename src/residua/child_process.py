"""What processes that Python starts for us have in common."""

import multiprocessing
import os
import threading


def exit_with_parent() -> None:
    """Let this process exit when its parent ends.

    A parent that was killed cannot end its children, and those of a pool would wait for work for ever.
    """
    threading.Thread(target=_exit_with_parent, name="residua-exit-with-parent", daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
