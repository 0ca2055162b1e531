"""Each study as figures, numbers and what was found; one function a study."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from residua import analyse
from residua.analyse import drawings as figures
from residua.analyse.regions import Regions
from residua.analyse.study import Drawing, Patient, Study, amount, each, inks, percent, plain
from residua.data.transforms import denormalise
from residua.nn.network import Network
from residua.tasks.classify.pages import shown

FEW = 32
"""Images for studies that need gradients in float64."""
SHOWN = 8
"""Pictures with their regions."""
SLICED = 128
"""Images for the slice of the loss, which is measured hundreds of times."""


def responses(patients: Sequence[Patient]) -> Study:
    """He et al. 2015, fig. 7."""
    found, skipped = each(patients, lambda p: analyse.layer_responses(p.network, p.inputs))
    in_order, by_size = figures.responses(found, inks(patients))
    mean = "; ".join(f"{n} {np.mean(r.deviations):.2f}" for n, r in found.items())
    return Study(
        f"Mean deviation of a 3×3 layer's response: {mean}.",
        (
            Drawing(in_order, "Layers in the order that data meets them.", f"Responses by layer. {mean}."),
            Drawing(by_size, "The same responses, the largest first.", f"Responses by size. {mean}."),
        ),
        plain(found),
        skipped,
    )


def gradients(patients: Sequence[Patient]) -> Study:
    """Gradient norms by depth."""
    found, skipped = each(patients, lambda p: analyse.gradient_norms(p.network, p.inputs, p.labels))
    signals, weights = figures.gradients(found, inks(patients))
    ratio = "; ".join(f"{n} {g.signals[0] / max(g.signals[-1], 1e-300):.2g}" for n, g in found.items())
    return Study(
        f"Norm at the first block divided by the norm at the last: {ratio}.",
        (
            Drawing(signals, "What arrives at the input of each block.", f"First over last block: {ratio}."),
            Drawing(
                weights, "What moves each convolution, beside its weights.", "Gradient over weight norms."
            ),
        ),
        plain(found),
        skipped,
    )


def identity(patients: Sequence[Patient]) -> Study:
    """He et al. 2016, 2."""

    def of(p: Patient) -> tuple[analyse.identity.Span, ...]:
        return analyse.identity_errors(p.network, p.inputs[:FEW], p.labels[:FEW])

    found, skipped = each(patients, of)
    worst = "; ".join(f"{n} {amount(max(max(s.errors) for s in spans))}" for n, spans in found.items())
    back = "; ".join(f"{n} {amount(max(s.gradient_error for s in spans))}" for n, spans in found.items())
    return Study(
        f"Largest relative error of x_L = x_l + ΣF: {worst}. Of the same for gradients: {back}.",
        (
            Drawing(
                figures.identity(found, inks(patients)),
                "Error of the sum after each block, relative. Near 10⁻¹⁶ it is rounding: the sum holds.",
                f"Largest error: {worst}.",
            ),
        ),
        plain(found),
        skipped,
    )


def lesion(patients: Sequence[Patient]) -> Study:
    """Removing, swapping and shuffling blocks."""
    found, skipped = each(patients, lambda p: analyse.lesion_study(p.network, p.inputs, p.labels))
    removed, several, moved = figures.lesions(found, inks(patients))
    medians = "; ".join(
        f"{name} {percent(one.whole)} whole, {percent(float(np.nanmedian(one.removed)))} without a block"
        for name, one in found.items()
        if not all(map(math.isnan, one.removed))
    )
    drawings = [
        Drawing(removed, "Error without one block; dashed, the whole network.", f"Median: {medians}."),
        Drawing(several, "Error without several blocks, mean of five choices.", "More blocks, more error."),
    ]
    if moved:
        caption = "Error after blocks of one kind changed places: 0 is the order they were trained in."
        drawings.append(Drawing(moved, caption, "More disorder, more error."))
    return Study(
        f"Median error: {medians}.",
        tuple(drawings),
        plain(found),
        skipped,
    )


def paths(patients: Sequence[Patient]) -> Study:
    """Path lengths of the effective gradient."""
    few = lambda p: analyse.path_lengths(p.network, p.inputs[:FEW], p.labels[:FEW])  # noqa: E731
    found, skipped = each(patients, few)
    drawings = []
    for name, one in found.items():
        says = (
            f"{name}: paths have {one.typical:.1f} branches, those that carry gradient {one.effective:.1f}."
        )
        shares, single = figures.paths(one)
        drawings.append(Drawing(shares, says, says))
        drawings.append(Drawing(single, f"{name}: what one path of each length brings.", says))
    said = "; ".join(f"{n} {one.effective:.1f} of {one.lengths[-1]}" for n, one in found.items())
    return Study(
        f"Mean length of the paths that carry the gradient, in branches: {said}.",
        tuple(drawings),
        plain(found),
        skipped,
    )


def activations(patients: Sequence[Patient]) -> Study:
    """Activations on the main path."""
    found = {p.name: analyse.main_path(p.arch) for p in patients}
    said = "; ".join(f"{name} {one.total}" for name, one in found.items())
    return Study(
        f"Activations that no shortcut skips: {said}.",
        tuple(
            Drawing(
                figures.main_path(one), f"{name}: activations on the main path.", f"{name} has {one.total}."
            )
            for name, one in found.items()
        ),
        plain(found),
    )


def landscape(patients: Sequence[Patient]) -> Study:
    """A slice through the loss."""
    few = lambda p: analyse.loss_slice(p.network, p.inputs[:SLICED], p.labels[:SLICED])  # noqa: E731
    found, skipped = each(patients, few)
    said = "; ".join(f"{n} {one.center:.3g} nats, {percent(100 * one.flat)}" for n, one in found.items())
    return Study(
        f"Loss at the network, and share of the square within one nat of it: {said}.",
        tuple(
            Drawing(
                figures.landscape(one),
                f"{name}: the network is in the middle, each edge one filter's length away. Darker is worse.",
                f"{name}: loss {one.center:.3g} at the centre.",
            )
            for name, one in found.items()
        ),
        plain(found),
        skipped,
    )


def cam(patients: Sequence[Patient]) -> Study:
    """Grad-CAM."""
    return _regions(
        patients,
        analyse.grad_cam,
    )


def occlusion(patients: Sequence[Patient]) -> Study:
    """Occlusion."""
    return _regions(
        patients,
        analyse.occlusion,
    )


def features(patients: Sequence[Patient]) -> Study:
    """Feature maps."""
    drawings = []
    for p in patients:
        assert p.images is not None
        found = analyse.feature_maps(p.network, p.inputs[0])
        names = ["stem", *(f"stage {number}" for number in range(1, len(found.maps)))]
        rows = [(name, [one.numpy() for one in maps]) for name, maps in zip(names, found.maps, strict=True)]
        svg = figures.features(shown(p.images, 0), rows)
        caption = f"{p.name}: the liveliest channels of the stem and of each stage, for {p.images.title(0)}."
        drawings.append(Drawing(svg, caption, caption))
    return Study(
        "",
        tuple(drawings),
        {},
    )


def field(patients: Sequence[Patient]) -> Study:
    """The effective receptive field."""
    found = {p.name: analyse.effective_field(p.network) for p in patients}
    said = "; ".join(f"{n} {one.effective:.0f} of {one.theoretical} pixels" for n, one in found.items())
    return Study(
        f"Side of the effective field, of the theoretical one: {said}.",
        tuple(
            Drawing(
                figures.field(one),
                f"{name}: effect of each pixel on the middle cell of the last map"
                + (", cut off at the edge." if one.is_cut else "; the frame is what it could see at all."),
                f"{name}: a spot about {one.effective:.0f} pixels wide.",
            )
            for name, one in found.items()
        ),
        plain(found),
    )


def _regions(patients: Sequence[Patient], of: Callable[[Network, Tensor], Regions]) -> Study:
    drawings = []
    for p in patients:
        assert p.images is not None
        places = sorted({round(i) for i in np.linspace(0, len(p.labels) - 1, SHOWN)})  # folders come by class
        found = of(p.network, p.inputs[places])
        pictures = []
        for i, heat, guess in zip(places, found.maps, found.guesses.tolist(), strict=True):
            pixels = _as_seen(p, i)
            pictures.append((pixels, heat.numpy(), f"said {p.images.classes[guess]}"))
        caption = f"{p.name}: each picture beside what its answer rests on."
        drawings.append(Drawing(figures.regions(pictures), caption, caption))
    return Study("", tuple(drawings), {})


def _as_seen(p: Patient, i: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Input `i` back in pixels: (H, W) or (H, W, 3)."""
    pixels = denormalise(p.inputs[i : i + 1], p.network.preprocess)[0].numpy()
    return np.asarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


STUDIES: Mapping[str, Callable[[Sequence[Patient]], Study]] = {
    "responses": responses,
    "gradients": gradients,
    "identity": identity,
    "lesion": lesion,
    "paths": paths,
    "activations": activations,
    "landscape": landscape,
    "cam": cam,
    "occlusion": occlusion,
    "features": features,
    "field": field,
}
"""Name on the command line -> study."""
