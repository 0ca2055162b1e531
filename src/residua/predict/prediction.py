"""Prediction: the class probabilities of one image; it needs no torch."""

from dataclasses import dataclass
from html import escape

from residua.spec.printable import printable

SHORT = 3
"""Classes that a prediction shows of itself."""


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The class probabilities of one image."""

    classes: tuple[str, ...]
    """All classes, in the order of the network's outputs."""
    probabilities: tuple[float, ...]
    """Probability of each class; they sum to 1."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes with their probabilities, the likeliest first."""
        ranked = sorted(zip(self.classes, self.probabilities, strict=True), key=lambda pair: -pair[1])
        return ranked[:k]

    def __repr__(self) -> str:
        likeliest = ", ".join(f"{printable(name)} {100 * share:.1f} %" for name, share in self.top(SHORT))
        more = len(self.classes) - SHORT
        return f"Prediction({likeliest}{f', {more} more' if more > 0 else ''})"

    def _repr_html_(self) -> str:
        """The likeliest classes for notebooks."""
        rows = (
            f"<tr><td>{escape(printable(name))}</td><td>{100 * share:.1f} %</td></tr>"
            for name, share in self.top(2 * SHORT)
        )
        return f"<table><tr><th>class</th><th>probability</th></tr>{''.join(rows)}</table>"
