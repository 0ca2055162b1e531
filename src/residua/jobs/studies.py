"""Each study as figures, numbers, what was found and how to read it; one function a study."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from residua import analyse
from residua.analyse.regions import Regions
from residua.data.images import Images
from residua.jobs.report import shown
from residua.nn.network import Network
from residua.report import studies as figures
from residua.spec.arch import Arch

Found = TypeVar("Found")

FEW = 32
"""Images for studies that need gradients in float64."""
SHOWN = 8
"""Pictures with their regions."""
SLICED = 128
"""Images for the slice of the loss, which is measured hundreds of times."""


@dataclass(frozen=True, eq=False, slots=True)
class Patient:
    """A network and the images it is studied with."""

    name: str
    """What figures call it."""
    network: Network
    """The network, in eval mode."""
    images: Images | None
    """Images it did not learn from; None for studies that need none."""
    inputs: Tensor
    """The same as it sees them: (N, C, S, S) float."""
    labels: Tensor
    """(N,) their classes."""

    @property
    def arch(self) -> Arch:
        """What it was spelled from."""
        return self.network.arch


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure."""

    svg: str
    """SVG text."""
    caption: str
    """Below it."""
    alternative: str
    """What it shows, for who cannot see it."""


@dataclass(frozen=True, slots=True)
class Study:
    """What one study found."""

    title: str
    """Heading."""
    finding: str
    """The result in a sentence, with numbers."""
    drawings: tuple[Drawing, ...]
    """Its figures."""
    reading: str
    """How to read them."""
    numbers: Mapping[str, Any]
    """By network, as JSON values."""
    skipped: tuple[str, ...] = ()
    """Networks it does not fit, and why."""
    name: str = ""
    """What it is called on the command line."""


def _each(
    patients: Sequence[Patient], of: Callable[[Patient], Found]
) -> tuple[dict[str, Found], tuple[str, ...]]:
    """What `of` finds by network, and why it finds nothing in the others. ValueError if it fits none."""
    found: dict[str, Found] = {}
    skipped: list[str] = []
    for patient in patients:
        try:
            found[patient.name] = of(patient)
        except ValueError as error:
            if len(patients) == 1:
                raise
            skipped.append(str(error))
    if not found:
        raise ValueError(skipped[0])
    return found, tuple(skipped)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: no tensors, and null for what is not a number."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = [f.name for f in fields(value) if not isinstance(getattr(value, f.name), Tensor)]
        return {name: plain(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def responses(patients: Sequence[Patient]) -> Study:
    """He et al. 2015, fig. 7."""
    found, skipped = _each(patients, lambda p: analyse.layer_responses(p.network, p.inputs))
    in_order, by_size = figures.responses(found)
    mean = "; ".join(f"{n} {np.mean(r.deviations):.2f}" for n, r in found.items())
    return Study(
        "How strongly each layer answers",
        f"Mean deviation of a 3×3 layer's response: {mean}.",
        (
            Drawing(in_order, "Layers in the order that data meets them.", f"Responses by layer. {mean}."),
            Drawing(by_size, "The same responses, the largest first.", f"Responses by size. {mean}."),
        ),
        "One point is one 3×3 layer: the standard deviation of what it puts out for these images, behind its "
        "norm and before activation and addition, as in He et al. 2015, fig. 7. There, residual networks "
        "answer less strongly than plain ones, and deeper ones less per layer: each branch only nudges what "
        "passes by. Where no norm follows a convolution before the addition, as at the end of a "
        "pre-activation branch, the convolution itself is measured.",
        plain(found),
        skipped,
    )


def gradients(patients: Sequence[Patient]) -> Study:
    """Gradient norms by depth."""
    found, skipped = _each(patients, lambda p: analyse.gradient_norms(p.network, p.inputs, p.labels))
    signals, weights = figures.gradients(found)
    ratio = "; ".join(f"{n} {g.signals[0] / max(g.signals[-1], 1e-300):.2g}" for n, g in found.items())
    return Study(
        "How much gradient arrives",
        f"Norm at the first block divided by the norm at the last: {ratio}.",
        (
            Drawing(signals, "What arrives at the input of each block.", f"First over last block: {ratio}."),
            Drawing(
                weights, "What moves each convolution, beside its weights.", "Gradient over weight norms."
            ),
        ),
        "A line that falls steeply to the left would mean vanishing gradients, one that rises, exploding "
        "ones. With batch norm neither happens in plain networks of moderate depth: He et al. 2015, 4.1 "
        "checked that backward norms are healthy, and concluded that vanishing gradients are unlikely to be "
        "why deeper plain nets train worse. Train mode, one batch.",
        plain(found),
        skipped,
    )


def identity(patients: Sequence[Patient]) -> Study:
    """He et al. 2016, 2."""

    def of(p: Patient) -> tuple[analyse.identity.Span, ...]:
        return analyse.identity_errors(p.network, p.inputs[:FEW], p.labels[:FEW])

    found, skipped = _each(patients, of)
    worst = "; ".join(f"{n} {max(max(s.errors) for s in spans):.1e}" for n, spans in found.items())
    back = "; ".join(f"{n} {max(s.gradient_error for s in spans):.1e}" for n, spans in found.items())
    return Study(
        "Is the main path an identity?",
        f"Largest relative error of x_L = x_l + ΣF: {worst}. Of the same for gradients: {back}.",
        (
            Drawing(
                figures.identity(found),
                "Error of the sum after each block, relative. Near 10⁻¹⁶ it is rounding: the sum holds.",
                f"Largest error: {worst}.",
            ),
        ),
        "If nothing but additions stands on the path between two blocks, the later map is the earlier one "
        "plus all that the branches between added, and the gradient of the earlier one is that of the later "
        "one plus what comes through the branches (He et al. 2016, 2). Float64 makes this exact to rounding. "
        'An activation on the path breaks it, and the error says by how much. The "1 +" in the gradient is '
        "no lower bound: the branches may cancel it, which is only unlikely.",
        plain(found),
        skipped,
    )


def lesion(patients: Sequence[Patient]) -> Study:
    """Removing, swapping and shuffling blocks."""
    found, skipped = _each(patients, lambda p: analyse.lesion_study(p.network, p.inputs, p.labels))
    removed, several, moved = figures.lesions(found)
    medians = "; ".join(
        f"{name} {one.whole:.1f} % whole, {np.nanmedian(one.removed):.1f} % without a block"
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
        "What one block is worth",
        f"Median error: {medians}.",
        tuple(drawings),
        "Blocks are taken out of the trained network, which is not trained again (after Veit et al. 2016). A "
        "residual block loses its branch and keeps its shortcut: the others still see nearly what they were "
        "trained on, so that one missing block costs little, except where a stage begins. A plain network "
        "has no way around: what comes out of one block is all that the next one gets, and taking one away "
        "ruins it. Blocks that change the width cannot be taken out of a plain network, and are missing from "
        "its line.",
        plain(found),
        skipped,
    )


def paths(patients: Sequence[Patient]) -> Study:
    """Path lengths of the effective gradient."""
    few = lambda p: analyse.path_lengths(p.network, p.inputs[:FEW], p.labels[:FEW])  # noqa: E731
    found, skipped = _each(patients, few)
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
        "How long are the paths that matter?",
        f"Mean length of the paths that carry the gradient, in branches: {said}.",
        tuple(drawings),
        "With n blocks there are 2ⁿ ways from the loss to the first block: at each, through the branch or "
        "around it. Most have about n/2 branches (Veit et al. 2016). What one path brings falls with its "
        "length, so the gradient is mostly made by paths shorter than that: number times strength. The "
        "forward pass is whole; only the way back is cut, and all paths together are the gradient exactly. "
        "Lengths between measured ones are interpolated.",
        plain(found),
        skipped,
    )


def activations(patients: Sequence[Patient]) -> Study:
    """Activations on the main path."""
    found = {p.name: analyse.main_path(p.arch) for p in patients}
    said = "; ".join(f"{name} {one.total}" for name, one in found.items())
    return Study(
        "What stands on the main path",
        f"Activations that no shortcut skips: {said}.",
        tuple(
            Drawing(
                figures.main_path(one), f"{name}: activations on the main path.", f"{name} has {one.total}."
            )
            for name, one in found.items()
        ),
        "Counted in the words of the network. The original order has one after every addition, so their "
        "number grows with depth; pre-activation (order e) moves them into the branches; ResStage keeps one "
        "a stage (Duta et al. 2020, 2.1). Orders are those of He et al. 2016, fig. 4.",
        plain(found),
    )


def landscape(patients: Sequence[Patient]) -> Study:
    """A slice through the loss."""
    few = lambda p: analyse.loss_slice(p.network, p.inputs[:SLICED], p.labels[:SLICED])  # noqa: E731
    found, skipped = _each(patients, few)
    said = "; ".join(f"{n} {one.center:.3g} nats, {100 * one.flat:.0f} %" for n, one in found.items())
    return Study(
        "The loss around the weights",
        f"Loss at the network, and share of the square within one nat of it: {said}.",
        tuple(
            Drawing(
                figures.landscape(one),
                f"{name}: the network is in the middle, each edge one filter's length away. Darker is worse.",
                f"{name}: loss {one.center:.3g} at the centre.",
            )
            for name, one in found.items()
        ),
        "Two random directions, in which every filter is as long as the network's own, so that networks of "
        "different scale can be compared (Li et al. 2018). A wide light basin means that weights may move "
        "far before the loss rises; a narrow or ragged one that training had little room. Two directions of "
        "millions: another seed gives another slice. Norms keep their statistics.",
        plain(found),
        skipped,
    )


def cam(patients: Sequence[Patient]) -> Study:
    """Grad-CAM."""
    return _regions(
        patients,
        analyse.grad_cam,
        "Where it looks: Grad-CAM",
        "Tinted is what speaks for the class that the network names (Selvaraju et al. 2017): gradients of "
        "its logit weigh the channels of the last map. The map is coarse, and is stretched to the picture; "
        "where nothing is tinted, nothing in the last map speaks for the class. It shows what mattered, not "
        "whether that was right.",
    )


def occlusion(patients: Sequence[Patient]) -> Study:
    """Occlusion."""
    return _regions(
        patients,
        analyse.occlusion,
        "What it cannot do without: occlusion",
        "A grey square, a quarter as wide as the picture, covers one place after the other; tinted is where "
        "covering lowers the logit of the class that the network names. Slower than Grad-CAM, and "
        "independent of gradients: where both agree, believe them more.",
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
        "What the channels show",
        "",
        tuple(drawings),
        "Every square is one channel of the map behind the stem or a stage, dark where it is least and light "
        "where it is most; shown are those that vary most over the picture. Early maps still look like the "
        "picture, with edges picked out; later ones are small, and say where something is rather than what "
        "it looks like.",
        {},
    )


def field(patients: Sequence[Patient]) -> Study:
    """The effective receptive field."""
    found = {p.name: analyse.effective_field(p.network) for p in patients}
    said = "; ".join(f"{n} {one.effective:.0f} of {one.theoretical} pixels" for n, one in found.items())
    return Study(
        "How far one cell really sees",
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
        "Gradient of one cell of the last map by every pixel, averaged over images of noise (Luo et al. "
        "2016). The frame is arithmetic: kernels and strides. Within it the effect falls off like a bell, "
        "for there are many ways to the middle and few to the edge; the effective side is that of a square "
        "as large as the pixels above 4.55 % of the peak. Shades are by the square root, so that faint ones "
        "show.",
        plain(found),
    )


def _regions(
    patients: Sequence[Patient], of: Callable[[Network, Tensor], Regions], title: str, reading: str
) -> Study:
    drawings = []
    for p in patients:
        assert p.images is not None
        found = of(p.network, p.inputs[:SHOWN])
        pictures = []
        for i, (heat, guess) in enumerate(zip(found.maps, found.guesses.tolist(), strict=True)):
            pixels = _as_seen(p, i)
            pictures.append((pixels, heat.numpy(), f"said {p.images.classes[guess]}"))
        caption = f"{p.name}: each picture beside what its answer rests on."
        drawings.append(Drawing(figures.regions(pictures), caption, caption))
    return Study(title, "", tuple(drawings), reading, {})


def _as_seen(p: Patient, i: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Input `i` back in pixels: (H, W) or (H, W, 3)."""
    preprocess = p.network.preprocess
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    pixels = ((p.inputs[i] * std + mean) * 255).round().clamp(0, 255).byte().numpy()
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
