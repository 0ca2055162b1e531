"""VideoData: labelled videos in files, and photographs that are panned over."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from residua.data.images import ImageDataset, Images
from residua.data.listing import ListingOptions, SourceListing
from residua.data.open import find, open_dataset
from residua.data.scan import scan
from residua.data.video import clips, frame_cache
from residua.data.video.clips import ClipFrames
from residua.data.video.frame_cache import FrameCache
from residua.spec.arch import Arch
from residua.spec.recipe import Data
from residua.tasks.data_task import Unreadable, unreadable_titles
from residua.tasks.survey import Survey


@dataclass(frozen=True, eq=False)
class ClipDataset:
    """Both splits of a source of videos, and the cache of their decoded frames."""

    dataset: ImageDataset
    """The videos."""
    data: Data
    """How they are read."""

    @property
    def train(self) -> Images:
        """Training videos."""
        return self.dataset.train

    @property
    def test(self) -> Images:
        """Videos for evaluation, which are never trained on."""
        return self.dataset.test

    @property
    def note(self) -> str:
        """One line that describes the dataset."""
        return self.dataset.note

    @cached_property
    def cache(self) -> FrameCache | None:
        """The cache of decoded frames; None for videos in memory, and where `data.resident_bytes` is 0."""
        if self.train.pixels is not None or not self.data.resident_bytes:
            return None
        if self.data.cache:
            return frame_cache.open_cache(Path(self.data.cache), self.data.resident_bytes)
        return frame_cache.temporary_cache(self.data.resident_bytes)

    def clip_frames(self, images: Images, arch: Arch) -> ClipFrames:
        """Frames of `images`, which are one of the splits, as `arch` reads them."""
        return ClipFrames(images, arch.preprocess, self.cache)


class VideoData:
    """`residua.tasks.data_task.DataTask` of videos."""

    media_type = clips.CLIP

    def survey(self, source: str) -> Survey:
        """List its videos."""
        return Survey(find(source, holds="clips", options=ListingOptions(lenient=True)))

    def open(self, data: Data, *, without: Unreadable, listing: SourceListing | None = None) -> ClipDataset:
        """Open both splits; the first frame of each video, or of some of many, is decoded."""
        dataset = open_dataset(data.source, val_fraction=data.val_fraction, without=without, holds="clips")
        return ClipDataset(dataset, data)

    def unreadable(self, data: Data, *, workers: int, listing: SourceListing | None = None) -> Unreadable:
        """List the videos that cannot be decoded to their end."""
        splits = find(data.source, holds="clips").splits
        return unreadable_titles(splits, scan(splits, workers=workers).reasons)
