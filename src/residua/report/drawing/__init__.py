"""Diagrams of networks as SVG, drawn as the papers draw them (He et al. 2015, fig. 2, 3 and 5).

`networks.py` puts columns, blocks and legend on one sheet; `column.py` draws a network as a column of boxes;
`block.py` draws one block letter by letter; `layout.py` splits a network into what is drawn.
"""

from residua.report.drawing.networks import (
    describe_network,
    draw_blocks,
    draw_column_only,
    draw_commonest_block,
    draw_networks,
)

__all__ = ["describe_network", "draw_blocks", "draw_column_only", "draw_commonest_block", "draw_networks"]
