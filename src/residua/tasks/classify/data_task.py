"""ClassifyData: labelled images, in an array or in files."""

from residua.data.decode import IMAGE
from residua.data.images import ImageDataset
from residua.data.listing import ListingOptions, SourceListing, build_dataset
from residua.data.open import find, open_dataset
from residua.data.scan import scan
from residua.spec.recipe import Data
from residua.tasks.data_task import Unreadable, unreadable_titles
from residua.tasks.survey import Survey


class ClassifyData:
    """`residua.tasks.data_task.DataTask` of images."""

    media_type = IMAGE

    def survey(self, source: str) -> Survey:
        """List its images."""
        return Survey(find(source, options=ListingOptions(lenient=True)))

    def open(self, data: Data, *, without: Unreadable, listing: SourceListing | None = None) -> ImageDataset:
        """Open both splits; no image is decoded, every header is read."""
        if listing is not None:
            return build_dataset(listing, val_fraction=data.val_fraction, without=without)
        return open_dataset(data.source, val_fraction=data.val_fraction, without=without)

    def unreadable(self, data: Data, *, workers: int, listing: SourceListing | None = None) -> Unreadable:
        """List the images that cannot be decoded."""
        splits = (listing or find(data.source)).splits
        return unreadable_titles(splits, scan(splits, workers=workers).reasons)
