"""What the system says of the processor."""

from pathlib import Path

import pytest
import torch

from residua.nn import processor

ICE_LAKE = "model name\t: Xeon Processor @ 2.80GHz\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bitalg\n"


def with_cpuinfo(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    file = folder / "cpuinfo"
    if text:
        file.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", file)


@pytest.mark.parametrize(
    ("text", "has_units"),
    [
        (ICE_LAKE, False),
        (ICE_LAKE.replace("avx512_vnni", "avx512_bf16"), True),
        (ICE_LAKE.replace("avx512_vnni", "amx_bf16"), True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("Features\t: fp asimd\n", False),
    ],
)
def test_the_flags_tell_whether_there_are_bfloat16_units(
    text: str, has_units: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_cpuinfo(monkeypatch, tmp_path, text)
    assert processor.has_bfloat16_units() is has_units


@pytest.mark.parametrize(
    ("machine", "capability", "has_units"),
    [("AMD64", "AVX2", False), ("AMD64", "AVX512", None), ("arm64", "DEFAULT", None)],
)
def test_without_flags_an_old_instruction_set_tells_it_of_x86_alone(
    machine: str,
    capability: str,
    has_units: bool | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with_cpuinfo(monkeypatch, tmp_path, "")
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert processor.has_bfloat16_units() is has_units


def test_the_name_is_that_of_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_cpuinfo(monkeypatch, tmp_path, ICE_LAKE)
    assert processor.processor_name() == "Xeon Processor @ 2.80GHz"
    with_cpuinfo(monkeypatch, tmp_path / "none", "")
    assert processor.processor_name()


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, 8),
        ({"pod/box": "max 100000"}, 8),
        ({"pod/box": "150000 100000"}, 2),
        ({"pod": "100000 100000", "pod/box": "max 100000"}, 1),
        ({"": "50000 100000"}, 1),
        ({"pod/box": "6400000 100000"}, 8),
    ],
    ids=["no limit", "max", "its own", "of the group around it", "of a container", "more than there are"],
)
def test_the_limit_of_a_container_counts_as_its_cores(
    limits: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for group, text in limits.items():
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / "cpu.max").write_text(f"{text}\n")
    (tmp_path / "own").write_text("1:cpu:/\n0::/pod/box\n")
    monkeypatch.setattr(processor, "_CGROUPS", tmp_path)
    monkeypatch.setattr(processor, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(processor.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert processor.usable_cores() == cores
