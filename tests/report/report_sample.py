"""A page with every kind of part, and names that try to break out of it."""

import numpy as np

from residua.report import bars, chart, heat_maps, page, tiles, training_curves

HOSTILE = "<script>alert('1')</script> & \"co\" \x00"


def curve(name: str, end: float) -> training_curves.Curve:
    return training_curves.Curve(name, (0, 1, 2, 3), (90, 40, 9, end), (90, 45, float("nan"), end + 1))


def panels() -> tuple[training_curves.Panel, ...]:
    return (
        training_curves.Panel("plain", (curve("plain-20", 3), curve(HOSTILE, 81))),
        training_curves.Panel("residual", (curve("residual-20", 0.1), curve("residual-56", 0.05))),
    )


def lines() -> tuple[chart.Series, ...]:
    return (
        chart.Series(HOSTILE, ((1, 3e-5), (2, float("nan")), (3, 0.2)), "both"),
        chart.Series("dots", ((1, 0.0), (4, 2.0)), "dots", areas=(1.0, 4.0)),
        chart.Series("", ((1, 0.5), (4, 0.5)), "guide"),
    )


def drawings() -> dict[str, str]:
    counts = np.array([[8, 2], [0, 9]])
    return {
        "training_curves": training_curves.training_curves(panels()),
        "readme_figure": training_curves.readme_figure(panels(), f"A headline with {HOSTILE} in it " * 3),
        "bars": bars.bar_chart((HOSTILE, "zero", "lost"), (3.2, 0.0, float("nan")), unit="%"),
        "beside": bars.reference_bars(
            (
                bars.ReferenceBar(HOSTILE, 7.1, 0.4, 6.61),
                bars.ReferenceBar("no number in the paper", 3.0, float("nan"), float("nan")),
                bars.ReferenceBar("nothing here", float("nan"), float("nan"), 12.3, "not finite"),
            ),
            unit="error (%)",
        ),
        "confusion": heat_maps.confusion_matrix(("cat", HOSTILE), counts, links={(0, 1): "cell-0-1"}),
        "plot": chart.plot(lines(), x=HOSTILE, y="error (%)"),
        "plot_log": chart.plot(lines(), x="block", y=HOSTILE, logarithmic=True),
        "ranges": bars.interval_chart((bars.IntervalRow(HOSTILE, 1, -2, 3, "+1"),), unit="points", zero=True),
        "tiles": tiles.picture_grid(((tiles.Tile(np.zeros((8, 8), np.uint8), HOSTILE),),)),
        "shades": heat_maps.heat_map(np.eye(5), low=HOSTILE, high="high", box=0.5),
    }


def full_page() -> page.Page:
    tiny, wide = np.zeros((8, 8), np.uint8), np.zeros((300, 600, 3), np.uint8)
    pictures = (
        page.Picture(tiny, HOSTILE, ("truth: 3",), good=False, anchor="cell-0-1"),
        page.Picture(wide, "a_long_file_name_that_cannot_wrap_anywhere_at_all.png", (), good=True),
        page.Picture(tiny, "unjudged", ()),
    )
    card = "readme_figure"  # stands in the README, on no page
    figures = tuple(
        page.Figure(svg, f"caption of {name}", HOSTILE) for name, svg in drawings().items() if name != card
    )
    rows = (("plain-20", "3.21 %"), (HOSTILE, "81.00 %"))
    parts: tuple[page.Part, ...] = (
        page.Text(("First paragraph.", HOSTILE)),
        page.Table(("network", "error"), rows, caption="the table", numeric=(1,), strong=(1,)),
        page.Pictures(pictures, caption="the pictures"),
        page.Code("residua demo --folder " + "very/" * 40, caption="the command"),
        page.Folded("every setting", (page.Table(("setting", "value"), (("optim.lr", "0.1"),)),)),
        page.Numbers((("81 %", "training error"), ("12 s", HOSTILE))),
    )
    sections = (
        page.Section("Drawings", (*figures, page.Figures(figures[-3:]))),
        page.Section(HOSTILE, parts),
    )
    return page.Page(f"A report on {HOSTILE}", "The lead.", sections, footer="The footer.")
