"""An engine agrees when its logits are those of the float32 network, as far as its precision allows."""

import numpy as np
import pytest

from residua.predict.engines.agreement import compare_logits

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(0, 4, (6, 10)).astype(np.float32)
RANGE = np.ptp(LOGITS, 1, keepdims=True)


def noisy(share):
    noise = np.sign(RNG.normal(size=LOGITS.shape)).astype(np.float32)
    return LOGITS + share * RANGE * noise


def test_rounding_agrees_and_more_does_not():
    assert compare_logits(noisy(5e-4), LOGITS, "float32").is_good
    assert not compare_logits(noisy(2e-3), LOGITS, "float32").is_good


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_limit_follows_the_scale_of_the_logits(scale):
    near, far = noisy(5e-4) * scale, noisy(2e-3) * scale
    assert compare_logits(near.astype(np.float32), LOGITS * np.float32(scale), "float32").is_good
    assert not compare_logits(far.astype(np.float32), LOGITS * np.float32(scale), "float32").is_good


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_low_precision_may_change_logits_but_no_certain_class(precision):
    reference = np.tile(np.array([[10, 0, 1]], np.float32), (4, 1))
    assert compare_logits(reference + np.float32([[-0.5, 0.5, 0.5]]), reference, precision).is_good
    close = np.tile(np.array([[10, 9.9, 0]], np.float32), (4, 1))
    swapped = close[:, [1, 0, 2]]
    agreement = compare_logits(swapped, close, precision)
    assert agreement.is_good
    assert agreement.same_top1 == 0
    certain = np.tile(np.array([[10, 8.4, 0]], np.float32), (4, 1))
    assert not compare_logits(certain[:, [1, 0, 2]], certain, precision).is_good
    assert not compare_logits(reference[:, [0, 2, 1]] * 1.5, reference, precision).is_good


def test_a_logit_that_is_not_finite_or_missing_never_agrees():
    broken = LOGITS.copy()
    broken[0, 0] = np.nan
    assert not compare_logits(broken, LOGITS, "int8").is_good
    assert not compare_logits(LOGITS[:, :9], LOGITS, "float32").is_good
