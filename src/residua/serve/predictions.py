"""The routes that compute: `/predict` for people, `/v2/models/NAME/infer` for the Open Inference Protocol."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from residua.errors import DataError
from residua.serve.admission import Accepted
from residua.serve.bodies import Bodies
from residua.serve.model import ServedModel, crop_of, picture_pixels
from residua.serve.problems import ConnectionLost, Refusal
from residua.serve.service import Service, StageSeconds
from residua.serve.tensors import LENGTH_HEADER, InferResponse, parse_request, response
from residua.serve.uploads import files_of, is_form

T = TypeVar("T")
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class PredictionRequests:
    """Requests become predictions of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._bodies = Bodies(service.limits)

    async def predict(self, request: Request, topk: int, cam: bool) -> Response:
        """Respond to `/predict`.

        Args:
            request: Its body is one file, or a form with files.
            topk: Classes of each image.
            cam: Whether to add Grad-CAM.

        Raises:
            Refusal: It cannot be served.
        """
        content_type = request.headers.get("content-type", "")
        async with self._received(request) as body:
            return await self._in_time(request, self._predict(body, content_type, topk, cam))

    async def infer(self, request: Request) -> Response:
        """Respond to a request of the Open Inference Protocol. Refusal when it cannot be served."""
        async with self._received(request) as body:
            return await self._in_time(request, self._infer(body, request.headers.get(LENGTH_HEADER)))

    def _received(self, request: Request) -> AbstractAsyncContextManager[bytes]:
        self._bodies.check_length(request)
        self._service.check_open()
        return self._bodies.receive(request)

    async def _predict(self, body: bytes, content_type: str, topk: int, cam: bool) -> Response:
        service, start = self._service, time.monotonic()
        model, seconds = service.model, StageSeconds()
        with service.admission.place() as place:
            parse = partial(files_of, body, content_type, most=service.limits.images)
            files = await service.in_thread(parse) if is_form(content_type) else parse()
            service.admission.widen(place, len(files))
            seconds.decode += time.monotonic() - start
            inputs = await self._read(model, place, files, model.read, seconds)
            outputs = await self._compute(model, inputs, seconds)
            predictions = await service.in_thread(_described, model, outputs, topk)
            if cam:
                await self._add_cam(model, files, inputs, predictions)
            total = time.monotonic() - start
            milliseconds = seconds.milliseconds(total)
            rendered = await service.in_thread(_rendered, model.name, predictions, milliseconds)
        service.observe(seconds, total)
        return Response(rendered, media_type="application/json")

    async def _infer(self, body: bytes, json_length: str | None) -> Response:
        service, start = self._service, time.monotonic()
        model, seconds = service.model, StageSeconds()
        with service.admission.place() as place:
            parsed = await service.in_thread(parse_request, body, json_length, model, service.limits)
            service.admission.widen(place, len(parsed.pictures))
            seconds.decode += time.monotonic() - start
            inputs = await self._read(model, place, parsed.pictures, parsed.read, seconds)
            outputs = await self._compute(model, inputs, seconds)
            rendered = await service.in_thread(response, parsed, outputs, model)
        service.observe(seconds, time.monotonic() - start)
        return _protocol_response(rendered)

    async def _read(
        self,
        model: ServedModel,
        place: Accepted,
        pictures: Sequence[Any],
        read: Callable[[Any], Any],
        seconds: StageSeconds,
    ) -> list[Any]:
        """The inputs of a model, of which none is decoded before there is room for all their pixels."""
        service, start = self._service, time.monotonic()
        try:
            if model.holds_pictures:
                pixels = await service.in_thread(picture_pixels, pictures)
            else:
                pixels = len(pictures) * model.preprocess.size**2
            service.admission.hold(place, pixels)
            seconds.decode += time.monotonic() - start
            return await service.read_inputs([partial(read, each) for each in pictures], seconds)
        except DataError as error:
            raise Refusal(400, str(error), reason="bad image") from None

    async def _compute(
        self, model: ServedModel, inputs: Sequence[Any], seconds: StageSeconds
    ) -> Sequence[Any]:
        try:
            return await self._service.compute(model, inputs, seconds)
        except DataError as error:  # videos are decoded by the worker
            raise Refusal(400, str(error), reason="bad image") from None

    async def _add_cam(
        self,
        model: ServedModel,
        files: Sequence[bytes],
        inputs: Sequence[Any],
        predictions: list[dict[str, Any]],
    ) -> None:
        """Add a picture of Grad-CAM to each prediction, or why there is none."""
        for prediction, file, view in zip(predictions, files, inputs, strict=True):
            if model.no_cam:
                prediction.update(cam=None, cam_reason=model.no_cam)
                continue
            (picture,) = await self._service.compute(model, [view], StageSeconds(), model.explain)
            box = await self._service.in_thread(crop_of, file, model.preprocess)
            url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            prediction.update(cam=url, cam_box=box)

    async def _in_time(self, request: Request, work: Awaitable[T]) -> T:
        """Await `work` as long as the client waits for it, at most `compute_seconds`."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            limit = self._service.limits.compute_seconds
            await asyncio.wait({task, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                raise ConnectionLost
            raise self._service.admission.late()
        finally:
            task.cancel()
            gone.cancel()


async def _disconnected(request: Request) -> None:
    """Return when the client closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _described(model: ServedModel, outputs: Sequence[Any], topk: int) -> list[dict[str, Any]]:
    return [model.describe(output, topk) for output in outputs]


def _rendered(name: str, predictions: Sequence[Any], milliseconds: dict[str, float]) -> bytes:
    """The response of `/predict`, one prediction at a time: while JSON is written, no other thread runs."""
    texts = ",".join(map(_to_json, predictions))
    return f'{{"model":{_to_json(name)},"predictions":[{texts}],"ms":{_to_json(milliseconds)}}}'.encode()


def _protocol_response(rendered: InferResponse) -> Response:
    if not rendered.json_length:
        return Response(rendered.body, media_type="application/json")
    headers = {LENGTH_HEADER: str(rendered.json_length)}
    return Response(rendered.body, media_type="application/octet-stream", headers=headers)
