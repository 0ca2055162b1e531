"""Worker processes of a `RunPool`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, time
from residua.jobs.run_pool import RunPool

if __name__ == "__main__":
    with RunPool(processes=1) as pool:
        print(pool._executor.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.battery
def test_a_killed_parent_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    limit = time.monotonic() + 5
    while alive(worker):
        assert time.monotonic() < limit, "the worker is still there after 5 s"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
