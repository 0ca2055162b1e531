"""A mean image is part of a preprocess: it survives JSON, and what is none is refused."""

import zlib
from base64 import b64encode
from dataclasses import replace

import pytest

from residua.errors import ConfigError
from residua.spec import change, preprocess, zoo
from residua.spec.preprocess import Preprocess, packed
from residua.spec.record import from_json, from_plain, to_json, to_plain

PLAIN = Preprocess(4, 4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
LEVELS = bytes(range(48))


def test_a_mean_image_comes_back_from_json_byte_for_byte() -> None:
    loaded = from_json(Preprocess, to_json(replace(PLAIN, mean_image=packed(LEVELS))))
    assert loaded.levels == LEVELS
    assert loaded.mean_side == 4


def test_what_was_written_before_there_were_mean_images_is_still_read() -> None:
    old = {name: value for name, value in to_plain(PLAIN).items() if name != "mean_image"}
    assert from_plain(Preprocess, old) == PLAIN
    assert (PLAIN.levels, PLAIN.mean_side) == (b"", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no base64!", "packed image"),
        (b64encode(b"not deflated").decode(), "packed image"),
        (packed(LEVELS[:-1]), "47 bytes.*3 channels"),
        (packed(b""), "holds 0 bytes"),
    ],
)
def test_what_is_no_mean_image_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAIN, mean_image=text)


def test_a_text_made_to_fill_memory_is_refused() -> None:
    bomb = b64encode(zlib.compress(bytes(preprocess.LARGEST + 3 * 64))).decode()
    with pytest.raises(ConfigError, match="no square"):
        replace(PLAIN, mean_image=bomb)


def test_other_channels_have_another_mean() -> None:
    preprocess = replace(PLAIN, mean_image=packed(LEVELS))
    spec = change.with_preprocess(zoo.arch("cifar_resnet20"), preprocess)
    assert change.with_channels(spec, 1).preprocess.mean_image == ""
