"""Three small networks that learned the digits in seconds; not to be changed."""

import pytest
from pupils import Pupil, taught, three_stages


@pytest.fixture(scope="session")
def residual() -> Pupil:
    return taught(three_stages("cifar_resnet20", "e"))


@pytest.fixture(scope="session")
def without() -> Pupil:
    return taught(three_stages("cifar_plain20"))


@pytest.fixture(scope="session")
def activated() -> Pupil:
    return taught(three_stages("cifar_resnet20"), steps=60)
