"""MetricRows: the metrics of a run as a list of rows, which pandas and notebooks show as a table."""

from html import escape
from typing import TYPE_CHECKING, Any

from residua.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas


class MetricRows(list[dict[str, Any]]):
    """One row for each finished epoch: a list of dictionaries from the name of a metric to its value."""

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a table with one column for each metric; what a row lacks is NaN.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise MissingPackageError("to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame(list(self))

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        names = list(dict.fromkeys(name for row in self for name in row))
        lines = [names, *([_cell(row.get(name)) for name in names] for row in self)]
        marks = ["th", *["td"] * len(self)]
        rows = (
            "<tr>" + "".join(f"<{mark}>{escape(cell)}</{mark}>" for cell in line) + "</tr>"
            for mark, line in zip(marks, lines, strict=True)
        )
        return f"<table>{''.join(rows)}</table>"


def _cell(value: object) -> str:
    """A number with five digits, as pandas shows it; nothing for none."""
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
