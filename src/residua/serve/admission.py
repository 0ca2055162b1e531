"""Admission: which requests are accepted, and when a refused one may come again.

A request passes two gates. While its body arrives it is a reader: readers are counted apart, so that clients
who send slowly keep nobody from the worker. When it is whole it takes a place: there are as many places as
the server computes in `wait_seconds`, by the speed that it measures all the time. Beyond them a request is
refused with 429, before its body is read where possible, and told after how many seconds to come again.
Whatever the places, the pixels that all requests hold are limited: a file of 8 KB may have 25 million. All of
this runs in the event loop, so that no lock is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from residua.serve.limits import Limits
from residua.serve.problems import Refusal
from residua.serve.speed import Speed

MOST_PLACES = 256
"""Most requests that wait when the network is fast: then HTTP itself takes most of the time."""


@dataclass(eq=False)
class Accepted:
    """A request that has a place."""

    images: int = 1
    """Images that it holds; known once its body is parsed."""
    pixels: int = 0
    """Pixels that its images hold; known before any of them is decoded."""


@dataclass(eq=False)
class Admission:
    """The places of the server and who has them."""

    limits: Limits
    """What requests may use."""
    speed: Speed
    """How fast places become free."""
    batch: int
    """Largest batch, which is computed while others wait."""
    accepted: set[Accepted] = field(default_factory=set)
    """Requests that have a place."""

    @property
    def places(self) -> int:
        """Requests that may have a place now, with those that are being computed."""
        waiting = self.limits.queue or min(MOST_PLACES, int(self.speed.rate * self.limits.wait_seconds))
        return max(1, waiting) + self.batch

    @property
    def images(self) -> int:
        """Images of all accepted requests."""
        return sum(each.images for each in self.accepted)

    def check(self) -> None:
        """Refuse a request that has not been read yet, where all places are taken."""
        if len(self.accepted) >= self.places:
            raise self._busy()

    @contextmanager
    def place(self) -> Iterator[Accepted]:
        """A place for a request whose body is here. Refusal with 429 where there is none."""
        self.check()
        mine = Accepted()
        self.accepted.add(mine)
        try:
            yield mine
        finally:
            self.accepted.discard(mine)

    def widen(self, mine: Accepted, images: int) -> None:
        """Let an accepted request hold several images.

        Raises:
            Refusal: 413 when they are more than any request may hold, 429 when they are too many now.
        """
        limits, rate = self.limits, self.speed.rate
        most = max(1, min(limits.images, int(rate * limits.compute_seconds)))
        if images > most:
            text = f"{images} images in one request: send at most {most}"
            raise Refusal(413, text, reason="too many images")
        # In each round the worker takes one image of every request.
        ahead = sum(min(each.images, images) for each in self.accepted if each is not mine)
        if images > 1 and (ahead + images) / rate > limits.compute_seconds:
            raise self._busy()
        mine.images = images

    def hold(self, mine: Accepted, pixels: int) -> None:
        """Let an accepted request hold pixels, until its place is free.

        Raises:
            Refusal: 413 when they are more than all requests may hold, 429 when others hold too many now.
        """
        most = self.limits.pixels
        if pixels > most:
            text = f"{pixels:,} pixels in one request: send at most {most:,}"
            raise Refusal(413, text, reason="too many pixels")
        if pixels + sum(each.pixels for each in self.accepted if each is not mine) > most:
            raise self._busy("the images of other requests fill the memory", reason="pixels")
        mine.pixels = pixels

    def late(self) -> Refusal:
        """The refusal of a request that could not be computed in time."""
        text = f"not computed within {self.limits.compute_seconds:g} s: send it again later"
        return Refusal(429, text, reason="deadline", retry_after=self.images / self.speed.rate)

    def _busy(self, what: str = "all places in the queue are taken", reason: str = "busy") -> Refusal:
        text = f"{what}: send the request again after Retry-After seconds"
        return Refusal(429, text, reason=reason, retry_after=self.images / self.speed.rate or 1.0)
