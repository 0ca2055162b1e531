"""The papers as BibTeX, written beside the tables and figures that quote them."""

from collections.abc import Mapping

ENTRIES: Mapping[str, str] = {
    "he2015": """@inproceedings{he2015,
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title     = {Deep Residual Learning for Image Recognition},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year      = {2016},
  eprint    = {1512.03385},
  archivePrefix = {arXiv},
}
""",
    "he2016": """@inproceedings{he2016,
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title     = {Identity Mappings in Deep Residual Networks},
  booktitle = {European Conference on Computer Vision},
  year      = {2016},
  eprint    = {1603.05027},
  archivePrefix = {arXiv},
}
""",
    "duta2020": """@inproceedings{duta2020,
  author    = {Duta, Ionut Cosmin and Liu, Li and Zhu, Fan and Shao, Ling},
  title     = {Improved Residual Networks for Image and Video Recognition},
  booktitle = {International Conference on Pattern Recognition},
  year      = {2020},
  eprint    = {2004.04989},
  archivePrefix = {arXiv},
}
""",
}
"""Paper -> its entry."""


def bibliography(first: str) -> str:
    """The entries of all papers, that of `first` on top where it is one of them."""
    return "\n".join(ENTRIES[name] for name in sorted(ENTRIES, key=lambda name: name != first))
