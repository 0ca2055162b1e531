"""The figures of the analyses: numbers of `residua.analyse` in, SVG text out."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from residua.report.bars import bar_chart
from residua.report.chart import Series, plot
from residua.report.heat_maps import MAX_CELLS as MOST
from residua.report.heat_maps import heat_map
from residua.report.tiles import Tile, picture_grid

if TYPE_CHECKING:
    import numpy as np

    from residua.analyse.activations import MainPath
    from residua.analyse.field import Field
    from residua.analyse.gradients import Gradients
    from residua.analyse.identity import Span
    from residua.analyse.landscape import Slice
    from residua.analyse.lesion import Lesions
    from residua.analyse.paths import Paths
    from residua.analyse.responses import Responses

Inks = Mapping[str, int]
"""Place of the colour of each network, the same in every figure of a page."""
EXACT = 1e-17
"""Stands for an error of 0, which a logarithm cannot show: below what float64 can resolve."""
WARM = (230, 92, 0)
"""Colour of what matters in a picture: vermilion, told from every grey."""


def responses(found: "Mapping[str, Responses]", inks: Inks) -> tuple[str, str]:
    """Deviations in the order of the layers, and sorted (He et al. 2015, fig. 7, top and bottom)."""
    y = "standard deviation of the response"
    in_order = _by_depth({name: r.deviations for name, r in found.items()}, inks)
    by_size = _by_depth({name: r.sorted for name, r in found.items()}, inks)
    return (
        plot(in_order, x="3×3 layer, in the order of the network", y=y),
        plot(by_size, x="3×3 layer, by size of its response", y=y),
    )


def gradients(found: "Mapping[str, Gradients]", inks: Inks) -> tuple[str, str]:
    """Norms of the gradient by blocks' inputs and by weights."""
    signals = _by_depth({name: g.signals for name, g in found.items()}, inks)
    weights = _by_depth({name: g.weights for name, g in found.items()}, inks)
    return (
        plot(signals, x="block", y="gradient norm at the block's input, per image", logarithmic=True),
        plot(weights, x="convolution", y="gradient norm / weight norm", logarithmic=True),
    )


def identity(found: "Mapping[str, tuple[Span, ...]]", inks: Inks) -> str:
    """Error of the sum after each block; where every run of identity shortcuts begins, a new climb begins."""
    errors = {n: [max(e, EXACT) for span in spans for e in span.errors] for n, spans in found.items()}
    series = _by_depth(errors, inks, kind="dots")
    return plot(series, x="block with an identity shortcut", y="relative error of x + ΣF", logarithmic=True)


def lesions(found: "Mapping[str, Lesions]", inks: Inks) -> tuple[str, str, str]:
    """Error without each block, without several, and after shuffles."""
    whole = [_level(one.whole, len(one.removed)) for one in found.values()]
    removed = _by_depth({name: one.removed for name, one in found.items()}, inks, kind="both")
    several = tuple(
        Series(name, ((0, one.whole), *one.dropped), "both", inks.get(name, -1))
        for name, one in found.items()
    )
    moved = tuple(
        Series(
            name,
            tuple((1 - tau, error) for tau, error in sorted(one.shuffled, reverse=True)),
            "dots",
            inks.get(name, -1),
        )
        for name, one in found.items()
        if one.shuffled
    )
    by_tau = plot(moved, x="disorder of the blocks (1 − Kendall's τ)", y="error (%)") if moved else ""
    return (
        plot((*removed, *whole), x="block that was removed", y="error (%)"),
        plot(several, x="blocks removed at random", y="error (%)"),
        by_tau,
    )


def paths(found: "Paths") -> tuple[str, str]:
    """How many paths there are of each length, and what they carry; and what one of them carries."""
    total = math.log(2) * found.lengths[-1]
    alike = tuple(100 * math.exp(math.log(count) - total) for count in found.counts)
    carried = tuple(100 * share for share in found.shares)
    series = (
        Series("gradient", tuple(zip(found.lengths, carried, strict=True)), "both"),
        Series("paths", tuple(zip(found.lengths, alike, strict=True)), "both"),
    )
    one = Series("", tuple(zip(found.lengths, found.magnitudes, strict=True)), "both")
    x = "length: branches on the path"
    return plot(series, x=x, y="share (%)"), plot((one,), x=x, y="gradient by one path", logarithmic=True)


def main_path(found: "MainPath") -> str:
    """Activations on the main path by stage, then of the same network in other orders."""
    stages = [(f"stage {number}", count) for number, count in enumerate(found.stages, 1)]
    orders = [(f"in order {letter}", count) for letter, count in found.orders]
    rows = [*stages, ("as it is", found.total), *orders]
    return bar_chart(tuple(name for name, _ in rows), tuple(float(count) for _, count in rows), unit="")


def landscape(found: "Slice") -> str:
    """Loss around the network, darker where it is higher, by its logarithm."""
    import numpy as np

    values = np.array(found.losses)
    low, high = (f"{float(f'{end:.3g}'):,g}" for end in (values.min(), values.max()))
    return heat_map(np.log10(values + 1e-3), low=f"loss {low}", high=high)


def field(found: "Field") -> str:
    """Effect of every pixel by its root, so that faint ones show; the frame is the theoretical field."""
    import numpy as np

    effect = np.sqrt(_smaller(found.effect.numpy()))
    side = found.effect.shape[0]
    box = 0.0 if found.theoretical >= side else found.theoretical / side
    return heat_map(effect, low="no effect", high="largest", box=box)


def regions(pictures: "list[tuple[np.ndarray, np.ndarray, str]]") -> str:
    """(pixels, importance from 0 to 1, what is said): each picture beside the same with its region tinted."""
    cells = [
        tile for pixels, heat, said in pictures for tile in (Tile(pixels, said), Tile(tinted(pixels, heat)))
    ]
    return picture_grid(tuple(tuple(cells[start : start + 4]) for start in range(0, len(cells), 4)))


def tinted(pixels: "np.ndarray", heat: "np.ndarray") -> "np.ndarray":
    """`pixels`, (H, W) or (H, W, 3) uint8, faded to grey, with WARM where `heat` (H, W) is 1."""
    import numpy as np

    grey = pixels if pixels.ndim == 2 else pixels.mean(2)
    faded = np.repeat((0.7 * grey + 50)[:, :, None], 3, 2)
    weight = 0.85 * heat[:, :, None]
    return np.asarray(faded * (1 - weight) + np.array(WARM) * weight).clip(0, 255).astype(np.uint8)


def features(picture: "np.ndarray", rows: "list[tuple[str, list[np.ndarray]]]") -> str:
    """A picture, then a row of maps, (H, W) float, for each name; every map from its least to its largest."""
    table: list[tuple[Tile, ...]] = [(Tile(picture, "the picture"),)]
    for name, maps in rows:
        table.append(tuple(Tile(_grey(one), name if not place else "") for place, one in enumerate(maps)))
    return picture_grid(tuple(table))


def _by_depth(
    found: "Mapping[str, tuple[float, ...] | list[float]]", inks: Inks, *, kind: str = "line"
) -> tuple[Series, ...]:
    """Values counted from 1, one series a network."""
    series = []
    for name, values in found.items():
        points = tuple((float(place), value) for place, value in enumerate(values, 1))
        series.append(Series(name, points, kind, inks.get(name, -1)))
    return tuple(series)


def _level(value: float, until: int) -> Series:
    return Series("", ((1.0, value), (float(until), value)), "guide")


def _grey(values: "np.ndarray") -> "np.ndarray":
    import numpy as np

    spread = float(values.max() - values.min()) or 1.0
    return np.asarray(255 * (values - values.min()) / spread).astype(np.uint8)


def _smaller(values: "np.ndarray") -> "np.ndarray":
    """At most `MOST` cells a side, each the mean of those it covers; leftovers at the edges are cut."""
    import numpy as np

    factor = -(-values.shape[0] // MOST)
    side = values.shape[0] // factor
    off = (values.shape[0] - side * factor) // 2
    cut = values[off : off + side * factor, off : off + side * factor]
    return np.asarray(cut.reshape(side, factor, side, factor).mean((1, 3)))
