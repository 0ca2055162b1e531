"""The second copy of what no run can do without, and the first, when a bit of either is another one (F8)."""

import random
from pathlib import Path

import pytest

from residua.runs.metadata_backup import restore_from_backup, write_backup
from residua.runs.run import BACKUP, DATA, RECIPE, create
from small import recipe


@pytest.mark.parametrize("flips", [25, pytest.param(1000, marks=pytest.mark.battery)])
@pytest.mark.parametrize("name", [DATA, BACKUP])
def test_no_flipped_bit_is_believed(name: str, flips: int, tmp_path: Path) -> None:
    """Of the recipe it may be: people edit it."""
    run, chance = create(tmp_path, recipe(), identity={"digest": "0123", "count": 24}), random.Random(flips)
    write_backup(run.path)
    files = [run.path / each for each in (DATA, RECIPE, BACKUP)]
    whole = [file.read_bytes() for file in files]
    damaged, bits = run.path / name, 8 * (run.path / name).stat().st_size
    for bit in chance.sample(range(bits), min(flips, bits)):
        raw = bytearray(damaged.read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(raw)
        restore_from_backup(run.path)
        assert [file.read_bytes() for file in files] == whole, f"bit {bit}"
