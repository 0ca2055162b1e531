"""Where the runs of a reproduction are trained: processes of this machine, or a Ray cluster."""

from contextlib import AbstractContextManager

from residua.jobs.run_pool import RunBackend, RunPool


def has_gpu() -> bool:
    """Whether this machine has a GPU, on which runs are trained one after the other."""
    import torch

    return torch.cuda.is_available()


def run_backend(workers: int, ray: str | None, threads: int) -> AbstractContextManager[RunBackend]:
    """What trains the runs: `workers` processes of this machine, or the Ray cluster at the address `ray`."""
    if ray is None:
        return RunPool(processes=workers)
    from residua.reproduce.ray_backend import RayBackend

    return RayBackend(ray, threads=threads)
