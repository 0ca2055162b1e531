"""Draw the README's figure from the runs of a demo: readme_figure.py RUNS OUT.svg"""

import sys
from pathlib import Path

from residua.jobs.demo import demo_conclusion, demo_panels
from residua.report.training_curves import readme_figure
from residua.runs.run import Run

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
names = sorted((path.name for path in folder.iterdir() if path.is_dir()), key=lambda n: int(n[-2:]))
runs = tuple(Run(folder / name) for name in names)
out.write_text(readme_figure(demo_panels(runs), demo_conclusion(runs)))
