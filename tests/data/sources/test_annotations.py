"""Annotations of strangers: no document type in any encoding, no number or name that breaks what follows."""

import json
from pathlib import Path
from typing import Any

import pytest

from box_data import coco_folder, voc_folder
from residua.data.open import find, find_boxes
from residua.data.sources import something, voc
from residua.errors import DataError

ENTITY = '<!DOCTYPE annotation [<!ENTITY x "cat">]>'
LAUGHS = (
    '<!DOCTYPE annotation [<!ENTITY a "'
    + "x" * 5000
    + '">'
    + "".join(f'<!ENTITY {name} "{f"&{inner};" * 10}">' for inner, name in zip("abcd", "bcde", strict=True))
    + "]>"
)
OBJECT = "<object><name>&x;</name><bndbox><xmin>1</xmin></bndbox></object>"
HUGE = "9" * 40


def annotated(root: Path, content: bytes) -> str:
    """A VOC folder with `content` as one annotation."""
    voc_folder(root, train=2, test=1)
    (root / "Annotations/000001.xml").write_bytes(content)
    return f"voc:{root}"


@pytest.mark.parametrize(
    "dtd", [ENTITY, LAUGHS, "<!DOCTYPE annotation>", '<!DOCTYPE a SYSTEM "/etc/passwd">']
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "iso-8859-1", "ascii"])
def test_a_document_type_is_refused_in_every_encoding(tmp_path: Path, encoding: str, dtd: str) -> None:
    declared = encoding.removesuffix("-sig").removesuffix("-be")
    text = f'<?xml version="1.0" encoding="{declared}"?>{dtd}<annotation>{OBJECT}</annotation>'
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    with pytest.raises(DataError, match=r"000001\.xml .*document type"):
        find_boxes(annotated(tmp_path, (mark + text).encode(encoding)))


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_plain_xml_in_another_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    source = annotated(tmp_path, b"")
    text = (tmp_path / "Annotations/000000.xml").read_text().replace("plate", "tête")
    text = text.removeprefix("<?xml version='1.0'?>")
    whole = f'<?xml version="1.0" encoding="{encoding}"?>{text}'
    (tmp_path / "Annotations/000001.xml").write_bytes(whole.encode(encoding))
    assert "tête" in find_boxes(source).train.classes


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<annotation>" + b"<a>" * 100_000, "nested"),
        (b"<annotation>" + b" " * voc.MAX_BYTES + b"</annotation>", "larger"),
        (f"<annotation><size><width>{HUGE}</width><height>9</height></size></annotation>".encode(), "side"),
    ],
)
def test_deep_and_huge_xml_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(DataError, match=rf"000001\.xml.*{why}"):
        find_boxes(annotated(tmp_path, content))


def test_deep_json_is_refused(tmp_path: Path) -> None:
    file = coco_folder(tmp_path) / "annotations/instances_train2017.json"
    for text in ("[" * 100_000, '{"images": ' + '{"a":' * 100_000, f'{{"images": [{{"id": {HUGE * 200}}}]}}'):
        file.write_text(text)
        with pytest.raises(DataError, match="instances_train2017"):
            find_boxes(f"coco:{tmp_path}")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("images", "width", int(HUGE)),
        ("images", "height", 1e300),
        ("images", "id", 1e400),
        ("images", "file_name", "\ud800.png"),
        ("images", "file_name", "a\0.png"),
        ("annotations", "image_id", int(HUGE)),
        ("annotations", "image_id", [1]),
        ("categories", "id", "x"),
    ],
)
def test_a_number_or_name_that_nothing_can_hold_is_refused(
    tmp_path: Path, part: str, key: str, value: Any
) -> None:
    file = coco_folder(tmp_path) / "annotations/instances_train2017.json"
    document = json.loads(file.read_text())
    document[part][0][key] = value
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match="instances_train2017"):
        find_boxes(f"coco:{tmp_path}")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": "\u00b2"}'])
def test_deep_or_wrong_lists_of_videos_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / something.LABELS).write_text(text, "utf-8")
    (tmp_path / something.TRAIN).write_text("[]")
    with pytest.raises(DataError, match="Something-Something"):
        find(f"video:{tmp_path}", holds="clips")
