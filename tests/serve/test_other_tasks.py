"""Detectors and networks for clips, through the same routes."""

import json
import math
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import box_data
import small
from residua.data.video import reader
from residua.errors import DataError
from residua.jobs.load import load
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.serve.other_tasks import ClipModel
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from server_process import serving


def trained(path: Path, recipe: Recipe) -> Path:
    prepared = prepare(TrainRequest(recipe.data.source, None, recipe))
    run = create_run(prepared, path)
    fit_run(run, prepared, stop=small.never)
    return path


def test_a_detector_answers_with_boxes_in_pixels_of_the_image(tmp_path: Path) -> None:
    root = box_data.voc_folder(tmp_path / "voc", train=40)
    recipe = box_data.recipe(f"voc:{root}")
    recipe = replace(recipe, budget=replace(recipe.budget, epochs=6, batch_size=8))
    recipe = replace(recipe, optim=replace(recipe.optim, lr=0.01))
    run = trained(tmp_path / "run", recipe)
    predictor = load(run)
    files = sorted((root / "JPEGImages").iterdir())[:6]
    with serving(run) as server, server.client() as client:
        forms = [("image", (file.name, file.read_bytes())) for file in files]
        document = client.post("/predict", files=forms).json()
        metadata = client.get("/v2/models/run").json()
        assert [each["name"] for each in metadata["inputs"]] == ["image", "pixels"]
        pixels = {"name": "pixels", "datatype": "UINT8", "shape": [1, 60, 80, 3], "data": [128] * 14400}
        (output,) = client.post("/v2/models/run/infer", json={"inputs": [pixels]}).json()["outputs"]
        refused = client.post("/predict?cam=1", content=files[0].read_bytes()).json()["predictions"][0]
    for file, prediction in zip(files, document["predictions"], strict=True):
        expected = predictor(file.read_bytes())
        assert prediction["size"] == [box_data.WIDE, box_data.HIGH]
        assert len(prediction["boxes"]) == len(expected)
        for box, corners in zip(prediction["boxes"], expected.corners, strict=True):
            assert box["box"] == pytest.approx(corners.tolist(), abs=0.1)
    assert output["name"] == "predictions"
    assert set(json.loads(output["data"][0])) == {"boxes", "size"}
    assert refused["cam"] is None


def test_a_network_for_clips_answers_for_whole_videos(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="clips need PyAV: pip install 'residua[video]'")
    import clip_data

    root = tmp_path / "clips"
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            frames = clip_data.numbered(12, 40, 32, seed=i)
            clip_data.write(root / split / "brighter" / f"{i}.mp4", frames)
            clip_data.write(root / split / "darker" / f"{i}.mp4", frames[::-1])
    recipe = small.recipe(f"video:{root}")
    pixels = Preprocess(16, 20, (0.5,) * 3, (0.5,) * 3)
    arch = inflate(replace(recipe.arch, preprocess=pixels, classes=2), Clip(3, 3))
    run = trained(
        tmp_path / "run", replace(recipe, arch=arch, budget=replace(recipe.budget, epochs=1, batch_size=4))
    )
    file = root / "val" / "darker" / "0.mp4"
    expected = load(run)(file).top(2)
    with serving(run) as server, server.client() as client:
        (prediction,) = client.post("/predict", content=file.read_bytes()).json()["predictions"]
        refused = client.post("/predict", content=b"no video")
        again = client.post("/predict?topk=1", content=file.read_bytes())
    assert [each["class"] for each in prediction["classes"]] == [name for name, _ in expected]
    shares = [each["probability"] for each in prediction["classes"]]
    assert shares == pytest.approx([share for _, share in expected], abs=1e-5)
    assert refused.status_code == 400
    assert "/proc/" not in refused.text
    assert again.status_code == 200


class Probe:
    """A predictor that only asks how long a video is."""

    def __call__(self, path: Path) -> SimpleNamespace:
        frames = reader.probe(path).frames
        return SimpleNamespace(probabilities=np.array([[frames, 0.0]]))


def clip_model() -> ClipModel:
    pytest.importorskip("av", reason="clips need PyAV: pip install 'residua[video]'")
    return ClipModel("clips", Probe(), "torch")


def test_a_video_is_decoded_no_longer_than_its_request_waits(tmp_path: Path) -> None:
    import clip_data

    model = clip_model()
    content = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8)).read_bytes()
    model.probe()
    hung = reader.process_reader().child
    assert hung, "it runs before the first request"
    os.kill(hung.pid, signal.SIGSTOP)
    with pytest.raises(DataError, match="the video takes longer"):
        model.compute([(content, time.monotonic() + 0.2)])
    assert hung.poll() is not None
    model.probe()
    (output,) = model.compute([(content, time.monotonic() + 60)])
    assert output.tolist() == [8, 0]


def test_a_system_without_files_in_memory_decodes_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import clip_data

    model = clip_model()
    content = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8)).read_bytes()
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (output,) = model.compute([(content, math.inf)])
    assert output.tolist() == [8, 0]
    with pytest.raises(DataError, match="the video") as refused:
        model.compute([(b"no video", math.inf)])
    assert str(tmp_path) not in str(refused.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
