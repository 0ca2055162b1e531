"""What `doctor` measures, and for how long."""

from collections.abc import Callable

import pytest

from residua.jobs import doctor
from residua.training.timing import Timing

Way = tuple[str, str]


@pytest.mark.parametrize("emulates", [True, False])
def test_the_doctor_times_bfloat16_where_the_processor_has_units(
    emulates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def measure(
        _: object, *, batch: int, ways: tuple[Way, ...], limit: Callable[[float], float]
    ) -> Timing[Way]:
        limits.append(limit(0.1))
        return Timing(dict.fromkeys(ways, batch / 200))

    monkeypatch.setattr(doctor, "measure", measure)
    monkeypatch.setattr(doctor, "emulates_bfloat16", lambda: emulates)
    monkeypatch.setattr(doctor, "_rate", lambda _: 100.0)
    checks = {check.name: check.value for check in doctor.check_machine()}
    assert ("bfloat16 channels_last 200/s" in checks["training"]) is not emulates
    assert "float32 contiguous 200/s" in checks["training"]
    assert ("emulated" in checks["bfloat16"]) is emulates
    assert checks["processor"]
    assert limits == [doctor.TRAINING_SECONDS]
