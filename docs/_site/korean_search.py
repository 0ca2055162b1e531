"""Search in Korean: a word is found whatever particle follows it, as in 학습률은, 학습률과, 학습률."""

import re

from sphinx.search.en import SearchEnglish

PARTICLES = (
    "은|는|이|가|을|를|의|도|만|과|와|로|으로|에|에서|에게|까지|부터|보다|처럼|마다|에는|에서는|에도|으로는|로는|과는|와는|이나|이란|란|"
    "입니다|이며|이고|이다"
)
"""What follows a noun without a space."""
ENDING = rf"^(.{{2,}}?)(?:{PARTICLES})$"
"""A word of at least two characters and its particle, for Python and for the page."""


class SearchKorean(SearchEnglish):
    """Words without particles; English words among them by their stems."""

    lang = "ko"
    js_splitter_code = f"""
var splitQuery = (query) => query
  .split(/[^\\p{{Letter}}\\p{{Number}}_]+/gu)
  .filter((word) => word)
  .map((word) => word.replace(/{ENDING}/, "$1"));
"""

    def split(self, input: str) -> list[str]:  # noqa: A002 - Sphinx names it so
        """The words of a text, without particles."""
        return [re.sub(ENDING, r"\1", word) for word in super().split(input)]


def setup(app):
    """Add the language to Sphinx."""
    app.add_search_language(SearchKorean)
    return {"parallel_read_safe": True}
