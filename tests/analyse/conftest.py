"""Three small networks that learned the digits in seconds; not to be changed."""

import pytest
from pupils import Pupil, three_stages, trained_pupil


@pytest.fixture(scope="session")
def residual() -> Pupil:
    return trained_pupil(three_stages("cifar_resnet20", "e"))


@pytest.fixture(scope="session")
def without() -> Pupil:
    return trained_pupil(three_stages("cifar_plain20"))


@pytest.fixture(scope="session")
def activated() -> Pupil:
    return trained_pupil(three_stages("cifar_resnet20"), steps=60)
