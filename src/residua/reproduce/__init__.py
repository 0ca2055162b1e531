"""Reproduce the tables and figures of the papers: from a printed number to a trained network and a page.

    find_item(name)          items.py       a table or figure: the paper's rows, claims and protocol
        |                                   (values in published.py and rows_*.py)
    run_entries(...)         grid.py        networks x seeds -> recipe and run folder of each
        |
    RunBackend.train(...)    jobs/run_pool.py      processes of this machine
        |                    ray_backend.py        or tasks on a Ray cluster
        |                                   finished runs are reused, interrupted ones are resumed
    reproduce_row(...)       measured.py    runs -> mean, deviation, difference, protocol label
        |
    claim_results(...)       page.py        is each claim of the paper confirmed?
        |
    page(...)                page.py        figure, table, claims, recipe, command

`reproduction.py` takes these steps for one item: `residua.reproduce.reproduce("he2015/fig6")`. `listing.py`
lists all items with cost and state; `reproductions_md.py` writes docs/explanation/reproductions.md from
committed runs. Experiments of ours take their own steps: `ladder.py` and `ladder_*.py`, `highway.py`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`residua.reproduce.reproduce`, imported when it is first used."""
    if name != "reproduce":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from residua.reproduce.reproduction import reproduce

    return reproduce
