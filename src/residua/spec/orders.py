"""Place in a stage -> word: one function per figure.

Each takes the number of convolutions and returns the letters.
"""


def plain(convs: int) -> str:
    """The stack without shortcuts: `CNA CNA` (He et al. 2015, 3.3 and fig. 3, middle)."""
    return " ".join(["CNA"] * convs)


def original(convs: int) -> str:
    """Activation after the addition: `(CNA CN)A` (He et al. 2015, fig. 2 and 5; He et al. 2016, fig. 4a)."""
    return f"({' '.join(['CNA'] * (convs - 1) + ['CN'])})A"
