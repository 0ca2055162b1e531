"""A folder of trained networks for the views that use them, and a client of a lab over it."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import torch

import residua
from residua.curate.actions import COLUMNS, SUMMARY
from residua.curate.clean import CSV
from residua.data.listing import split_listing
from residua.data.open import find
from residua.data.table_cells import csv_text
from residua.spec.change import with_order
from residua.weights import save_as
from residua.weights.store import publish
from small import Budget, arch, file_of, recipe, split_folder


@dataclass(frozen=True)
class ViewFolder:
    """A folder of trained networks, and a client of a lab over it."""

    folder: Path
    client: httpx.Client

    @property
    def address(self) -> str:
        """Where the lab is."""
        return str(self.client.base_url).rstrip("/")

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        """The response to an action that carries the token of the page."""
        token = self.client.get("/").text.partition('name="token" content="')[2].partition('"')[0]
        response = self.client.post(f"/api/{path}", json=body, headers={"X-Residua-Token": token})
        assert response.status_code == status, response.text
        return response.json()

    def wait_for_job(self, name: str) -> Any:
        """The facts of a job that has ended."""
        limit = time.monotonic() + 120
        while (facts := self.client.get(f"/api/jobs/{name}").json())["state"] in ("waiting", "running"):
            assert time.monotonic() < limit, facts
            time.sleep(0.1)
        return facts


def write_view_folder(folder: Path) -> Path:
    """Three runs on the same photos, one of which hardly learned and one of another order, and weights."""
    photos = split_folder(folder.parent / "photos", train=12, val=6)
    tiny = recipe("", arch=arch(), budget=Budget(epochs=5, batch_size=6))
    other = replace(tiny, arch=replace(with_order(arch(), "e"), name="tiny:order=e"))
    good, reordered = (
        str(file_of(one, folder.parent / f"{name}.json"))
        for one, name in ((tiny, "good"), (other, "reordered"))
    )
    residua.train(photos, recipe=good, out=folder / "good")
    residua.train(photos, recipe=good, epochs=1, changes={"optim.lr": 1e-4}, out=folder / "poor")
    residua.train(photos, recipe=reordered, epochs=1, out=folder / "reordered")
    torch.manual_seed(0)
    (folder / "nets").mkdir()
    network = residua.create_model("cifar_resnet20", num_classes=3)
    torch.save({"state_dict": save_as(network, "cifar")}, folder / "nets" / "doubtful.th")  # fits a plain one
    network.class_names = ("blue", "green", "red")
    publish(folder / "nets" / "named.pt", network.state_dict(), network.facts)
    (folder / "link.th").symlink_to(folder / "nets" / "doubtful.th")
    _write_table(folder / "clean-photos", photos)
    return folder


def _write_table(folder: Path, photos: Path) -> None:
    """The table of a clean of `photos`, in which one image has a reason to be reviewed."""
    train, _, _ = split_listing(find(str(photos)), val_fraction=0.2)
    rows = [
        (train.title(i), train.classes[label], train.classes[label], "0.5", "odd" * (i == 3), "keep")
        for i, label in enumerate(train.labels.tolist())
    ]
    folder.mkdir()
    (folder / SUMMARY).write_text(json.dumps({"source": str(photos)}))
    (folder / CSV).write_text(csv_text([COLUMNS, *rows]), newline="")
