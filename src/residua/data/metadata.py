"""Whether labels can be told from anything but the picture: file size, dimensions, format, camera, length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.data.scan import Scan

_FOLDS = 5
_MOST = 20_000  # images that the tree sees: enough for a percent, and a second
_DEPTH, _LEAF = 6, 5  # of the tree; ours: it may combine a few facts, and not learn single files by heart
_ERRORS = 3.0  # standard errors between luck and a finding
_CAMERAS = 20  # that get a column each


@dataclass(frozen=True)
class MetadataLeak:
    """How well a small tree tells the class of images it has not seen, without their pixels."""

    accuracy: float
    """Percent right over all folds."""
    baseline: float
    """Percent right for who always says the commonest class."""
    images: int
    """Images that were tried."""
    facts: tuple[str, ...]
    """What the tree looked at most, the most telling first."""

    @property
    def gain(self) -> float:
        """Share of the baseline's errors that the tree avoids: 0 tells nothing, 1 tells all.

        0, too, where the tree is less than three standard errors ahead, which chance may bring about.
        """
        ahead, missed = self.accuracy - self.baseline, 100.0 - self.baseline
        error = (self.baseline * missed / self.images) ** 0.5
        return ahead / missed if missed and ahead > _ERRORS * error else 0.0


def find_metadata_leak(scan: Scan, labels: NDArray[np.int64], *, seed: int = 0) -> MetadataLeak | None:
    """What metadata tell of `labels` (N,). None for sets without files, one class, or too few images.

    The tree is judged on folds it did not see; beyond 20,000 images it sees a random part.
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
        places = np.random.default_rng(seed).choice(places, _MOST, replace=False)
        places = places[np.bincount(labels[places])[labels[places]] >= _FOLDS]
    names, columns = _columns(scan, places)
    truth = labels[places]
    tree = DecisionTreeClassifier(max_depth=_DEPTH, min_samples_leaf=_LEAF, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    said = cross_val_predict(tree, columns, truth, cv=folds)
    weight = tree.fit(columns, truth).feature_importances_
    telling = tuple(names[k] for k in np.argsort(-weight, kind="stable") if weight[k] > 0.1)
    baseline = 100.0 * float(np.bincount(truth).max()) / len(truth)
    return MetadataLeak(100.0 * float((said == truth).mean()), baseline, len(truth), telling)


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
    seen, counts = np.unique(facts["camera"], return_counts=True)
    for camera in seen[np.argsort(-counts, kind="stable")][:_CAMERAS].tolist():
        words = f"camera {scan.cameras[camera]}" if camera else "no camera named"
        columns[words] = (facts["camera"] == camera).astype(np.float64)
    return list(columns), np.stack(list(columns.values()), 1)
