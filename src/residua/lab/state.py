"""Lab: what all routes share, and how a route gets at it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Query, Request

from residua.errors import ConfigError
from residua.lab.broadcast import Broadcast
from residua.lab.compute_process import ComputeProcess
from residua.lab.folder_contents import FolderContents
from residua.lab.jobs import Jobs
from residua.lab.latest_curves import LatestCurves
from residua.lab.notes import Notes
from residua.lab.run_folder import RunFolder
from residua.lab.run_table import RunTable
from residua.lab.series_store import SeriesStore
from residua.serve.bodies import Bodies
from residua.serve.limits import Limits
from residua.serve.problems import Refusal


@dataclass(slots=True)
class Lab:
    """A folder of runs with all that reads it. The guard asks it for limits; it counts nothing."""

    folder: RunFolder
    """Where runs are."""
    table: RunTable
    """Their rows."""
    store: SeriesStore
    """Their metrics."""
    curves: LatestCurves
    """Curves made of them."""
    notes: Notes
    """Tags and notes."""
    jobs: Jobs
    """Commands that the page started."""
    broadcast: Broadcast
    """Events for open pages."""
    networks: ComputeProcess
    """Studies single networks, predicts images, and reads the tables of cleans."""
    comparisons: ComputeProcess
    """Compares runs, which takes minutes; other views do not wait for it."""
    bodies: Bodies
    """Images that arrive."""
    contents: FolderContents
    """The networks and images in the folder."""
    limits: Limits
    """What requests may use."""
    token: str
    """What every action carries."""
    is_token_needed: bool = False
    """Whether reading needs the token, too: where the server listens beyond this machine."""
    is_read_only: bool = False
    """Whether all actions are refused."""
    is_draining: bool = False
    """Whether the server is about to stop."""

    def count_rejected(self, reason: str) -> None:
        """Count a request that was refused: the lab does not."""

    def count_response(self, route: str, status: int) -> None:
        """Count a request: the lab does not."""

    def run_path(self, name: str) -> Path:
        """The run directory of a name in a request.

        Raises:
            Refusal: There is no such run.
        """
        try:
            return self.folder.run_path(name)
        except ConfigError as error:
            raise Refusal(404, str(error), reason="not found") from None

    def end_responses(self) -> None:
        """End the responses that would go on for long: streams of events, and computations."""
        self.is_draining = True
        self.broadcast.close()
        self.networks.close()
        self.comparisons.close()

    def close(self) -> None:
        """Stop jobs, threads and streams."""
        self.end_responses()
        self.jobs.close()
        self.table.close()
        self.store.close()


def lab_of(request: Request) -> Lab:
    """The lab that a request is for."""
    lab: Lab = request.app.state.lab
    return lab


def run_of(lab: Annotated[Lab, Depends(lab_of)], run: Annotated[str, Query(max_length=1000)]) -> Path:
    """The run directory that the query `run` names."""
    return lab.run_path(run)


TheLab = Annotated[Lab, Depends(lab_of)]
"""A parameter of a route: the lab."""
TheRun = Annotated[Path, Depends(run_of)]
"""A parameter of a route: the run directory that `?run=NAME` names."""
