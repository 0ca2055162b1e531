"""Limits: how much one request, and all of them together, may use of the server."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may use at most, and how many requests may wait."""

    body_bytes: int = 8 * MIB
    """Largest body of a request."""
    receive_seconds: float = 10.0
    """Time in which the client sends a request, headers and body."""
    compute_seconds: float = 5.0
    """Time from the last byte of a request to its response."""
    header_bytes: int = 16 << 10
    """Largest size of the request line and all headers."""
    headers: int = 100
    """Most headers of a request."""
    images: int = 128
    """Most images of a request."""
    pixels: int = 80_000_000
    """Most pixels of all requests together: 240 MB as RGB, three of the largest images, six of a phone."""
    bodies: int = 256
    """Most requests whose bodies arrive at the same time; they take no place in the queue."""
    bodies_bytes: int = 64 * MIB
    """Most memory of the bodies that are arriving, waiting or being computed."""
    connections: int = 512
    """Most open connections; beyond them, the one that has been silent the longest is closed."""
    queue: int = 0
    """Most requests that wait; 0 takes as many as are computed in `wait_seconds`."""
    wait_seconds: float = 0.4
    """Longest wait for the worker that an accepted request may expect."""
    max_delay: float = 0.0
    """Longest time that the worker waits for a batch to fill, in seconds; 0 computes what is there."""
    drain_seconds: float = 10.0
    """Time that accepted requests have to finish after the signal to stop."""
    hosts: tuple[str, ...] = ()
    """Names by which clients may call the server, beside `localhost` and addresses; `*` allows all."""


STANDARD = Limits()
"""The limits of a server that was given none."""
