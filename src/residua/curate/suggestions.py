"""What a clean suggests for each image, from the files, the groups that are alike, and what networks say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.curate.actions import Action, ActionRow, Cleaned
from residua.curate.folds import FoldPredictions
from residua.data.images import Images
from residua.data.near_duplicates import Group
from residua.data.scan import Scan
from residua.measure.confident import Confidence, confidence
from residua.measure.outliers import far_out

ODDS = 20.0
"""So many times likelier than the label a class must be before anything is suggested: where one label in
twenty is wrong, less is no more than the odds that it is right. Our choice; without it a network that is
right on half of 4,000 CIFAR-10 images named 1,486 labels, 200 being wrong."""
SURE, LIKELIER = 0.9, 0.5
"""Probability from which on the suggestion is another class, else to drop: a wrong new label costs more. Of
10,000 CIFAR-10 images, 500 labels wrong, 242 stay or become wrong at 0.9, and 408 at 0.5. The second holds
where many labels are wrong: nobody who learned from those is sure, and a small set cannot lose so much."""
LOSS = 0.05
"""Share of the images that the first of them may drop, at most. Our choice: with 30 % of 1,433 digits flipped
and most suspects dropped, accuracy was no better for it (the interval's lower end was -9.1 points)."""
WEAK = 50.0
"""Percent judged as labelled below which labels are suspected, and nothing is suggested. Our choice."""


@dataclass
class _Draft:
    """The columns of the rows while they are filled in."""

    suggested: list[int]
    reasons: list[list[str]]
    actions: list[Action]
    kinds: dict[str, list[int]]

    def note(self, place: int, kind: str, reason: str, action: Action = "keep") -> None:
        """One more reason to look at an image; a drop is not taken back, nor is what came before a keep."""
        self.kinds[kind].append(place)
        self.reasons[place].append(reason)
        if action == "drop" or self.actions[place] == "keep":
            self.actions[place] = action


Where = tuple[Images, int, str]
"""All images, how many are to learn from, and what the others are called."""


def weighed(
    source: str,
    where: Where,
    looked: Scan,
    groups: tuple[list[Group], list[Group]],
    opinions: FoldPredictions,
    how: tuple[str, ...],
) -> Cleaned:
    """The rows, from all that is known."""
    images, learn, _ = where
    judged = np.flatnonzero(opinions.known)
    said = opinions.probabilities[judged]
    found = confidence(said, images.labels[judged]) if len(judged) else None
    scores = np.full(len(images), np.nan)
    if found is not None:
        scores[judged] = found.score
    kinds: dict[str, list[int]] = {k: [] for k in ("unreadable", "label", "duplicate", "near", "outlier")}
    draft = _Draft(images.labels.tolist(), [[] for _ in images.labels], ["keep"] * len(images), kinds)
    for place, why in looked.reasons.items():
        draft.note(place, "unreadable", why, "drop")
    accuracy = 100 * float((said.argmax(1) == images.labels[judged]).mean()) if len(judged) else None
    if found is not None and accuracy is not None:
        _note_labels(draft, images, judged, said, found, suggest=accuracy >= WEAK)
        if accuracy < WEAK:
            how = (*how, f"right on {accuracy:.0f} %: too weak to suggest other labels; train longer")
    _note_copies(draft, where, groups[0], scores)
    _note_look_alikes(draft, where, groups[1])
    for place in np.flatnonzero(far_out(opinions.distance)).tolist():
        draft.note(
            place, "outlier", f"resembles nothing else: {opinions.distance[place]:.1f} times as far as most"
        )
    rows = tuple(
        ActionRow(
            images.title(i),
            images.classes[images.labels[i]],
            images.classes[draft.suggested[i]],
            None if np.isnan(scores[i]) else float(scores[i]),
            "; ".join(draft.reasons[i]),
            draft.actions[i],
        )
        for i in range(len(images))
    )
    rank = {"drop": 1, "relabel": 0, "keep": 2}
    first = [rank[row.action] if row.reason else 3 for row in rows]
    order = np.lexsort((np.nan_to_num(scores, nan=-1.0), first))
    fixed = {kind: tuple(places) for kind, places in kinds.items()}
    return Cleaned(source, images, learn, rows, order, fixed, found, judged, accuracy, how)


def _note_labels(
    draft: _Draft,
    images: Images,
    judged: NDArray[np.int64],
    said: NDArray[np.float32],
    found: Confidence,
    *,
    suggest: bool,
) -> None:
    rows = np.arange(len(judged))
    likely, own = said[rows, found.suggested], said[rows, images.labels[judged]]
    loud = found.suspects & (likely >= ODDS * own) & suggest
    few = (loud & (likely < SURE)).sum() <= LOSS * len(judged)
    moved = loud & (likely >= (SURE if few else LIKELIER))
    for k in np.argsort(found.score, kind="stable").tolist():
        if not found.suspects[k]:
            continue
        place, to = int(judged[k]), int(found.suggested[k])
        draft.suggested[place] = to
        action: Action = "relabel" if moved[k] else "drop" if loud[k] else "keep"
        reason = f"more likely {images.classes[to]} ({100 * likely[k]:.0f} % against {100 * own[k]:.1f} %)"
        draft.note(place, "label", reason, action)


def _note_copies(draft: _Draft, where: Where, groups: list[Group], scores: NDArray[np.float64]) -> None:
    """Of equal files one stays: an image to judge by before others, then that with the surest label."""
    images, learn, _ = where
    for group in groups:
        stays = max(group, key=lambda p: (p >= learn, np.nan_to_num(scores[p], nan=-1.0), -p))
        for place in group:
            if place != stays:
                draft.note(place, "duplicate", f"the same file as {_about(where, place, stays)}", "drop")
        torn = len({int(images.labels[p]) for p in group}) > 1
        if torn:
            draft.note(stays, "duplicate", "its copies have other labels")


def _note_look_alikes(draft: _Draft, where: Where, groups: list[Group]) -> None:
    """Look-alikes are shown; those to learn from go where one is to be judged by."""
    _, learn, _ = where
    for group in groups:
        judged = [place for place in group if place >= learn]
        for place in group:
            other = next(p for p in (*judged, *group) if p != place)
            leaks = bool(judged) and place < learn
            draft.note(
                place, "near", f"looks like {_about(where, place, other)}", "drop" if leaks else "keep"
            )


def _about(where: Where, place: int, other: int) -> str:
    """What image `other` is called, and how it differs from `place` in label and split."""
    images, learn, judged = where
    words = [images.title(other)]
    if images.labels[place] != images.labels[other]:
        words.append(f"labelled {images.classes[images.labels[other]]}")
    if (place < learn) != (other < learn):
        words.append(f"in {judged if other >= learn else 'train'}")
    return ", ".join(words)
