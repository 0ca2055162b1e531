"""DetectData: images with labelled boxes."""

from residua.data.decode import IMAGE
from residua.data.listing import SourceListing
from residua.data.open import find_boxes
from residua.data.scan import scan
from residua.data.scenes import BoxDataset, build_box_dataset
from residua.spec.recipe import Data
from residua.tasks.data_task import Unreadable, unreadable_titles
from residua.tasks.detect.survey import survey_boxes
from residua.tasks.survey import Survey


class DetectData:
    """`residua.tasks.data_task.DataTask` of images with boxes."""

    media_type = IMAGE

    def survey(self, source: str) -> Survey:
        """List its images and their boxes, and what is wrong with the boxes."""
        return survey_boxes(find_boxes(source))

    def open(self, data: Data, *, without: Unreadable, listing: SourceListing | None = None) -> BoxDataset:
        """Open both splits; no image is decoded."""
        return build_box_dataset(find_boxes(data.source), without=without, skip=data.bad != "error")

    def unreadable(self, data: Data, *, workers: int, listing: SourceListing | None = None) -> Unreadable:
        """List the images that cannot be decoded, and the boxes that cannot be used."""
        boxes = find_boxes(data.source)
        splits = [scenes.images for scenes in boxes.splits]
        faults = {fault.key: fault.reason for fault in boxes.faults}
        return {**unreadable_titles(splits, scan(splits, workers=workers).reasons), **faults}
