"""`POST /predict` of a real server: every form of a body, and what is refused."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from residua.predict.classifier import Classifier, load
from server_process import Server, metric, picture, png, serving

PICTURES = [
    png(picture(colour, seed, side=10 + seed)) for colour in ("red", "green", "blue") for seed in range(12)
]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def classifier(trained_run: Path) -> Classifier:
    return load(trained_run)


def check_classes(classes: list[dict[str, object]], file: bytes, topk: int, classifier: Classifier) -> None:
    expected = classifier(file).top(topk)
    assert [each["class"] for each in classes] == [name for name, _ in expected]
    assert [each["probability"] for each in classes] == pytest.approx(
        [share for _, share in expected], abs=1e-4
    )


def test_a_raw_image_gets_its_likeliest_classes(client: httpx.Client, classifier: Classifier) -> None:
    response = client.post("/predict?topk=2", content=PICTURES[0])
    assert response.status_code == 200
    document = response.json()
    assert document["model"] == "colours"
    assert set(document["ms"]) == {"queue", "decode", "infer", "total"}
    check_classes(document["predictions"][0]["classes"], PICTURES[0], 2, classifier)


def test_a_form_of_several_files_gets_a_prediction_for_each_in_order(
    client: httpx.Client, classifier: Classifier
) -> None:
    files = [("images", (f"../{place}.exe", file, "text/plain")) for place, file in enumerate(PICTURES[:20])]
    document = client.post("/predict?topk=3", files=files, data={"note": "not a file"}).json()
    assert len(document["predictions"]) == 20
    for file, prediction in zip(PICTURES, document["predictions"], strict=False):
        check_classes(prediction["classes"], file, 3, classifier)


def mixed_requests(server: Server, classifier: Classifier, count: int) -> None:
    """Requests of different images and numbers of classes at once, each compared with the offline answer."""
    chooser = random.Random(1)
    requests = [(chooser.choice(PICTURES), chooser.randint(1, 3)) for _ in range(count)]
    with server.client() as client, ThreadPoolExecutor(8) as pool:
        send = lambda one: client.post(f"/predict?topk={one[1]}", content=one[0])  # noqa: E731
        responses = list(pool.map(send, requests))
        assert metric(client, "residua_exec_count_total") < metric(client, "residua_inference_count_total")
    offline = {file: classifier(file) for file in PICTURES}
    for (file, topk), response in zip(requests, responses, strict=True):
        assert response.status_code == 200, response.text
        classes = response.json()["predictions"][0]["classes"]
        expected = offline[file].top(topk)
        assert [each["class"] for each in classes] == [name for name, _ in expected]
        shares = [each["probability"] for each in classes]
        assert shares == pytest.approx([share for _, share in expected], abs=1e-4)


def test_mixed_requests_each_get_their_own_answer(server: Server, classifier: Classifier) -> None:
    mixed_requests(server, classifier, 300)


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_ten_thousand_mixed_requests_each_get_their_own_answer(
    server: Server, classifier: Classifier
) -> None:
    mixed_requests(server, classifier, 10_000)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"no image", {}, 400),
        (b'{"url": "http://127.0.0.1:1/x.png"}', {"content-type": "application/json"}, 400),
        (PICTURES[0][:-40], {}, 400),
        (PICTURES[0], {"content-encoding": "gzip"}, 415),
        (b"--x\r\n", {"content-type": "multipart/form-data"}, 400),
        (b"--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"preamble", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (bytes((8 << 20) + 1), {}, 413),
    ],
    ids=["empty", "text", "url", "cut", "gzip", "no boundary", "no part", "no form", "too large"],
)
def test_what_is_no_image_is_refused_in_json(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    response = client.post("/predict", content=content, headers=headers)
    assert response.status_code == status
    assert set(response.json()) == {"error"}
    assert "gone" not in response.text


@pytest.mark.parametrize("query", ["topk=0", "topk=x", "topk=1.5", "cam=perhaps"])
def test_a_query_out_of_range_is_refused(client: httpx.Client, query: str) -> None:
    response = client.post(f"/predict?{query}", content=PICTURES[0])
    assert (response.status_code, set(response.json())) == (400, {"error"})


def test_an_exported_network_says_why_it_has_no_cam(client: httpx.Client) -> None:
    (prediction,) = client.post("/predict?cam=1", content=PICTURES[0]).json()["predictions"]
    assert prediction["cam"] is None
    assert "gradients" in prediction["cam_reason"]


def test_a_run_lays_grad_cam_over_its_image(trained_run: Path) -> None:
    pytest.importorskip("captum")
    with serving(trained_run, "--engine", "torch") as server, server.client() as client:
        (prediction,) = client.post("/predict?cam=1", content=PICTURES[0]).json()["predictions"]
    assert prediction["cam"].startswith("data:image/png;base64,")
    assert prediction["cam_box"] == [0, 0, 1, 1]


def test_more_files_than_a_request_may_hold_are_refused(client: httpx.Client) -> None:
    files = [("images", ("x.png", PICTURES[0])) for _ in range(129)]
    assert client.post("/predict", files=files).status_code == 413
