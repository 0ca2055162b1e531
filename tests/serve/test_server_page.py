"""The page of the server, driven in Chromium: images come in, predictions, errors and waiting are shown."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chromium import Tab, chromium
from residua.report.colours import DARK, LIGHT, css_variables
from residua.serve.limits import STANDARD
from residua.serve.pages import FOLDER, POLICY, page_files

SERVER = Path(__file__).with_name("colour_server.py")
KB = 1000
LOOKS = ((1280, 900, "light"), (390, 800, "dark"), (320, 640, "light"))
"""Width and height in pixels, and colour scheme."""
COLOURS = {"red": (220, 50, 40), "green": (40, 200, 60), "blue": (30, 60, 220)}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the server is."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium with a pretended camera; the test is skipped where there is none."""
    words = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with chromium(*words) as browser:
        yield browser


class Visit(Tab):
    """The page in a tab."""

    def send(self, *files: Path, where: str = "#images") -> None:
        """Choose files, and wait for all predictions."""
        self.page.set_input_files(where, [str(file) for file in files])
        self.settle()

    def settle(self) -> None:
        """Wait until no image is pending, and the table is drawn."""
        self.page.wait_for_selector(".card")
        self.page.wait_for_selector(".card.pending", state="detached")
        self.page.wait_for_timeout(400)


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """The page on a desk."""
    visit = Visit(browser, address)
    yield visit
    visit.close()


def image(path: Path, colour: str, size: tuple[int, int] = (90, 60)) -> Path:
    """An image of one colour with some noise."""
    noise = np.random.default_rng(len(path.name)).normal(0, 10, (size[1], size[0], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three images in two folders, and a text."""
    image(tmp_path / "photos" / "rose.png", "red")
    image(tmp_path / "photos" / "garden" / "leaf.jpg", "green")
    image(tmp_path / "photos" / "garden" / "sky.png", "blue", (40, 80))
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def test_the_page_names_the_network_and_its_classes(visit: Visit) -> None:
    assert visit.page.inner_text("h1") == "colours"
    assert {"48 x 48 rgb", "7", "numpy"} <= set(visit.texts("dd"))
    visit.page.click("#class-count")
    assert "<b>yellow</b>" in visit.texts("#names li"), "a class is text, never markup"
    visit.page.fill("#filter", "RE")
    assert visit.texts("#names li") == ["red", "green", "grey"]


def test_an_image_becomes_a_card_with_classes_and_times(visit: Visit, photos: Path) -> None:
    visit.send(photos / "rose.png")
    assert visit.texts(".card .best") == ["red"]
    assert re.fullmatch(r"\d\d(\.\d)? %", visit.page.inner_text(".top .share"))
    assert len(visit.texts(".bars li:visible")) == 3
    visit.page.click(".rest")
    assert len(visit.texts(".bars li:visible")) == 6
    assert {"queue", "decode", "network"} <= set(re.findall(r"[a-z]+", visit.page.inner_text(".times p")))
    assert "red" in visit.page.inner_text("#live")
    lengths = visit.page.evaluate(
        "[...document.querySelectorAll('.length')].map((bar) => getComputedStyle(bar, '::after').transform)"
    )
    assert len({*lengths}) > 1, "bars differ in length"


def test_a_broken_image_has_its_error_beside_it(visit: Visit, photos: Path) -> None:
    broken = photos / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nonsense")
    visit.send(photos / "rose.png", broken)
    assert visit.texts(".card.refused .file") == ["broken.jpg"]
    assert visit.page.is_visible(".card.refused .problem:not(:empty)")
    assert visit.texts(".card:not(.refused) .best") == ["red"]
    assert visit.texts("tr.refused th") == ["broken.jpg"]


def test_a_folder_is_read_with_its_folders(visit: Visit, photos: Path) -> None:
    visit.send(photos, where="#folder")
    assert sorted(visit.texts(".card .file")) == [
        "photos/garden/leaf.jpg",
        "photos/garden/sky.png",
        "photos/rose.png",
    ]
    assert sorted(visit.texts(".card .best")) == ["blue", "green", "red"]


def drop(page: Any, *files: Path) -> None:
    """Drop files and folders on the page, as the system's file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 300, "data": data})


def test_files_and_folders_can_be_dropped(visit: Visit, photos: Path, tmp_path: Path) -> None:
    drop(visit.page, image(tmp_path / "single.png", "blue"), photos)
    visit.settle()
    names = ["photos/garden/leaf.jpg", "photos/garden/sky.png", "photos/rose.png", "single.png"]
    assert sorted(visit.texts(".card .file")) == names
    assert "dropping" not in (visit.page.get_attribute("body", "class") or "")


def test_an_image_can_be_pasted(visit: Visit) -> None:
    visit.page.evaluate(
        """async () => {
          const canvas = document.createElement('canvas')
          canvas.width = canvas.height = 64
          const pen = canvas.getContext('2d')
          pen.fillStyle = 'rgb(30 60 220)'
          pen.fillRect(0, 0, 64, 64)
          const blob = await new Promise((resolve) => canvas.toBlob(resolve))
          const clipboardData = new DataTransfer()
          clipboardData.items.add(new File([blob], 'image.png', { type: 'image/png' }))
          document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }))
        }"""
    )
    visit.settle()
    assert visit.texts(".card .best") == ["blue"]


def test_the_camera_takes_photos(visit: Visit) -> None:
    visit.page.click("#take-photo")
    shutter = visit.page.locator("#shoot:enabled")
    shutter.click()
    visit.page.wait_for_function(
        "() => document.getElementById('camera-state').textContent === '1 photo taken'"
    )
    visit.page.keyboard.press("Escape")
    visit.settle()
    assert visit.texts(".card .file") == ["photo 1"]
    assert visit.page.evaluate("document.getElementById('view').srcObject") is None, "the camera is off"


def test_grad_cam_covers_what_the_network_reads(visit: Visit, photos: Path) -> None:
    visit.send(photos / "rose.png")
    visit.page.click(".where")
    visit.settle()
    cam, photo = (visit.page.locator(name).bounding_box() for name in (".cam", ".photo"))
    assert cam["width"] == pytest.approx(cam["height"], abs=1)
    assert cam["height"] == pytest.approx(photo["height"] * 48 / 64, abs=2)
    centres = [box["x"] + box["width"] / 2 for box in (cam, photo)]
    assert centres[0] == pytest.approx(centres[1], abs=1)
    slider = visit.page.get_by_label("Grad-CAM")
    slider.focus()
    slider.press("Home")
    assert visit.page.locator(".cam").evaluate("(cam) => getComputedStyle(cam).opacity") == "0"


def test_boxes_are_drawn_where_a_detector_sees_them(visit: Visit, photos: Path) -> None:
    """The response is that of a detector, which would take a minute to train."""
    boxes = [
        {"class": "rose", "score": 0.9, "box": [30, 15, 60, 30]},
        {"class": "leaf", "score": 0.2, "box": [0, 0, 9, 9]},
    ]
    predictions = [{"boxes": boxes, "size": [90, 60]}]
    document = {
        "model": "m",
        "predictions": predictions,
        "ms": {"queue": 0, "decode": 1, "infer": 2, "total": 3},
    }
    visit.page.route("**/predict*", lambda route: route.fulfill(json=document))
    visit.send(photos / "rose.png")
    photo, box = (visit.page.locator(name).bounding_box() for name in (".photo", ".boxes span"))
    assert box["x"] - photo["x"] == pytest.approx(photo["width"] / 3, abs=1)
    assert box["height"] == pytest.approx(photo["height"] / 4, abs=1)
    assert visit.texts(".best") == ["rose"]
    predictions[0]["boxes"] = []
    visit.send(photos / "garden" / "sky.png")
    assert visit.texts(".best")[0] == visit.texts("#rows td:nth-child(2)")[1] == "nothing detected"


def test_a_photo_that_is_too_large_is_made_smaller(browser: Any, address: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1800, 2400, 3), np.uint8)
    pixels[..., 0] //= 8
    pixels[..., 1] //= 8
    Image.fromarray(pixels).save(tmp_path / "large.bmp")
    assert (tmp_path / "large.bmp").stat().st_size > STANDARD.body_bytes
    visit = Visit(browser, address)
    visit.send(tmp_path / "large.bmp")
    assert visit.texts(".best") == ["blue"]
    assert "smaller" in visit.page.inner_text(".note")
    visit.close()


def test_many_images_are_sent_two_at_a_time(visit: Visit, tmp_path: Path) -> None:
    open_requests, most = 0, 0

    def begun(request: Any) -> None:
        nonlocal open_requests, most
        if "predict" in request.url:
            open_requests += 1
            most = max(most, open_requests)

    def ended(request: Any) -> None:
        nonlocal open_requests
        open_requests -= "predict" in request.url

    visit.page.on("request", begun)
    visit.page.on("requestfinished", ended)
    visit.send(*(image(tmp_path / f"{number}.png", "green") for number in range(8)))
    assert most == 2
    assert visit.page.inner_text("#count") == "8 images"
    assert visit.texts("#tally .name") == ["green"]
    assert "8 predicted" in visit.page.inner_text("#live")


def test_a_busy_server_is_asked_again_after_the_time_it_names(visit: Visit, photos: Path) -> None:
    refusals: list[float] = []

    def refuse_once(route: Any) -> None:
        if refusals:
            route.continue_()
        else:
            refusals.append(1.0)
            route.fulfill(status=429, headers={"retry-after": "1"}, body=json.dumps({"error": "busy"}))

    visit.page.route("**/predict*", refuse_once)
    visit.page.set_input_files("#images", [str(photos / "rose.png")])
    visit.page.wait_for_selector("#waiting", state="visible")
    assert "1 s" in visit.page.inner_text("#waiting")
    visit.settle()
    assert visit.texts(".card .best") == ["red"]
    assert not visit.page.is_visible("#waiting")
    assert len([url for url in visit.requests if "predict" in url]) == 2


def test_an_image_can_be_tried_again_after_the_server_was_away(visit: Visit, photos: Path) -> None:
    visit.page.route("**/predict*", lambda route: route.abort())
    visit.send(photos / "rose.png")
    visit.page.unroute("**/predict*")
    visit.wrong.clear()  # the browser's own line for a request that was cut
    visit.page.click(".again")
    visit.settle()
    assert visit.texts(".card .best") == ["red"]


def test_what_waits_can_be_stopped_and_cleared(visit: Visit, tmp_path: Path) -> None:
    files = [str(image(tmp_path / f"{number}.png", "green")) for number in range(30)]
    visit.page.set_input_files("#images", files)
    visit.page.click("#stop")
    visit.settle()
    assert visit.page.locator(".card.refused").count() > 0
    visit.page.click("#clear")
    assert visit.page.locator(".card").count() == 0
    assert visit.page.evaluate("document.activeElement.id") == "choose-images"


def test_the_table_is_sorted_and_downloaded_as_csv(visit: Visit, photos: Path, tmp_path: Path) -> None:
    formula = image(tmp_path / '=HYPERLINK("x").png', "blue")
    visit.send(photos / "rose.png", photos / "garden" / "leaf.jpg", formula)
    visit.page.click("th button[data-key=best]")
    assert visit.texts("#rows td:nth-child(2)") == ["blue", "green", "red"]
    with visit.page.expect_download() as download:
        visit.page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert {row["image"]: row["class_1"] for row in rows} == {
        "rose.png": "red",
        "leaf.jpg": "green",
        "'" + formula.name: "blue",
    }
    assert sum(float(rows[0][f"probability_{place}"]) for place in range(1, 8)) == pytest.approx(1, abs=1e-4)


def test_the_page_is_used_by_keyboard_alone(visit: Visit, photos: Path) -> None:
    with visit.page.expect_file_chooser() as chooser:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.id") == "choose-images"
        visit.page.keyboard.press("Enter")
    chooser.value.set_files([str(photos / "rose.png")])
    visit.settle()
    for _ in range(20):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate("document.activeElement.className") == "where":
            break
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".cam", state="visible")


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
def test_axe_finds_nothing_serious(
    browser: Any, address: str, photos: Path, width: int, height: int, scheme: str
) -> None:
    viewport = {"width": width, "height": height}
    visit = Visit(browser, address, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    broken = photos / "broken.jpg"
    broken.write_bytes(b"")

    visit.check("empty")
    visit.send(photos / "rose.png")
    visit.page.click(".where")
    visit.settle()
    visit.check("one image")
    visit.send(photos / "garden" / "sky.png", broken)
    for part in visit.page.locator("summary").all():
        part.click()
    visit.check("several images")
    visit.page.click("#take-photo")
    visit.page.wait_for_selector("#shoot:enabled")
    visit.check("camera")
    visit.close()


def test_nothing_moves_where_the_visitor_wants_no_motion(browser: Any, address: str, photos: Path) -> None:
    visit = Visit(browser, address, reduced_motion="reduce")
    visit.page.set_input_files("#images", [str(photos / "rose.png")])
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.settle()
    visit.close()


def test_bars_are_seen_in_forced_colours(browser: Any, address: str, photos: Path) -> None:
    visit = Visit(browser, address, forced_colors="active")
    visit.send(photos / "rose.png")
    bar, page = (
        visit.page.evaluate(f"getComputedStyle(document.querySelector('{name}'), '{part}').backgroundColor")
        for name, part in ((".top .length", "::after"), ("html", ""))
    )
    assert bar != page
    visit.close()


def test_no_request_leaves_the_server(visit: Visit, photos: Path, address: str) -> None:
    visit.send(photos / "rose.png", photos / "garden" / "leaf.jpg")
    own = (address, "blob:", "data:")
    assert not [url for url in visit.requests if not url.startswith(own)]


def test_the_page_is_light_and_written_without_inline_code() -> None:
    files = page_files()
    assert sum(len(file.content) for file in files.values()) < 60 * KB
    assert "unsafe" not in POLICY
    document = files["index.html"].content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", document)
    assert not re.search(
        r"https?://(?!www\.w3\.org)", "".join(path.read_text("utf-8") for path in FOLDER.iterdir())
    )


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_those_of_reports(palette: Any) -> None:
    sheet = (FOLDER / "base.css").read_text("utf-8")
    colours = dict(css_variables(palette))
    if palette is DARK:  # cards are lighter than the page, in both schemes
        colours["--background"], colours["--surface"] = colours["--surface"], colours["--background"]
    missing = [f"{name}: {value}" for name, value in colours.items() if f"{name}: {value};" not in sheet]
    assert not missing
