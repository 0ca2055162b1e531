"""Whether metadata predict the labels: file size, dimensions, format, camera, length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.data.scan import Scan

_SEED = 0  # of the folds, and of the part that is used of many images
_FOLDS = 5
_MOST = 20_000  # images: enough for one percent, within a second
_DEPTH, _LEAF = 6, 5  # of the tree; our choice: enough to combine a few facts, too few to memorise files
_ERRORS = 3.0  # standard errors above the baseline
_CAMERAS = 20  # that get a column each


@dataclass(frozen=True)
class MetadataLeak:
    """How well a small decision tree predicts classes from metadata, by cross-validation."""

    accuracy: float
    """Accuracy over all folds, in percent."""
    baseline: float
    """Accuracy of always predicting the most common class, in percent."""
    images: int
    """Number of images."""
    facts: tuple[str, ...]
    """The metadata the tree used most, the most important first."""

    @property
    def gain(self) -> float:
        """Share of the baseline's errors that the tree avoids, from 0 to 1.

        0 where the tree is less than three standard errors better, which may be chance.
        """
        ahead, missed = self.accuracy - self.baseline, 100.0 - self.baseline
        error = (self.baseline * missed / self.images) ** 0.5
        return ahead / missed if missed and ahead > _ERRORS * error else 0.0


def find_metadata_leak(scan: Scan, labels: NDArray[np.int64]) -> MetadataLeak | None:
    """Predict `labels` from metadata with a small decision tree, by five-fold cross-validation.

    Args:
        scan: facts of N images.
        labels: class of each image, (N,).

    Returns:
        The result; None without files, for a single class, or for too few images.
    """
    facts = scan.facts
    places = np.flatnonzero(facts["readable"] & (facts["bytes"] >= 0))
    counts = np.bincount(labels[places]) if len(places) else np.zeros(1)
    places = places[counts[labels[places]] >= _FOLDS]
    if len(np.unique(labels[places])) < 2:
        return None

    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    if len(places) > _MOST:
        places = np.random.default_rng(_SEED).choice(places, _MOST, replace=False)
        places = places[np.bincount(labels[places])[labels[places]] >= _FOLDS]
    names, columns = _columns(scan, places)
    truth = labels[places]
    tree = DecisionTreeClassifier(max_depth=_DEPTH, min_samples_leaf=_LEAF, random_state=_SEED)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    predictions = cross_val_predict(tree, columns, truth, cv=folds)
    weight = tree.fit(columns, truth).feature_importances_
    telling = tuple(names[k] for k in np.argsort(-weight, kind="stable") if weight[k] > 0.1)
    baseline = 100.0 * float(np.bincount(truth).max()) / len(truth)
    return MetadataLeak(100.0 * float((predictions == truth).mean()), baseline, len(truth), telling)


def _columns(scan: Scan, places: NDArray[np.int64]) -> tuple[list[str], NDArray[np.float64]]:
    facts = scan.facts[places]
    width, height, size = (facts[name].astype(np.float64) for name in ("width", "height", "bytes"))
    columns = {
        "file size": size,
        "width": width,
        "height": height,
        "shape": width / np.maximum(height, 1),
        "bytes per pixel": size / np.maximum(width * height, 1),
        "orientation": facts["orientation"].astype(np.float64),
        "frames": facts["frames"].astype(np.float64),
        "frame rate": facts["rate"].astype(np.float64),
    }
    for name in ("kind", "mode"):
        for value in np.unique(facts[name]):
            columns[f"{name} {value}"] = (facts[name] == value).astype(np.float64)
    cameras, counts = np.unique(facts["camera"], return_counts=True)
    for camera in cameras[np.argsort(-counts, kind="stable")][:_CAMERAS].tolist():
        words = f"camera {scan.cameras[camera]}" if camera else "no camera named"
        columns[words] = (facts["camera"] == camera).astype(np.float64)
    return list(columns), np.stack(list(columns.values()), 1)
