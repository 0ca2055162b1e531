"""A process that forks after it predicted with several threads: its child predicts, too."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.spec.zoo import arch

DEADLINE = 60


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_a_forked_child_predicts_what_its_parent_predicts(threads: int) -> None:
    classifier = Classifier(build(arch("cifar_resnet20")).eval())
    pictures = [np.full((32, 32, 3), grey, np.uint8) for grey in range(32)]
    expected = classifier.many(pictures)  # a batch that several threads share
    child = os.fork()
    if not child:
        signal.alarm(DEADLINE)
        found = classifier.many(pictures)
        pairs = zip(found, expected, strict=True)
        equal = all(np.allclose(a.probabilities, b.probabilities, atol=1e-5) for a, b in pairs)
        os._exit(0 if equal and torch.get_num_threads() == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.get_num_threads() == threads
    assert len(classifier.many(pictures)) == len(pictures)
