"""The images of a chat's messages, fetched before the model is asked."""

from collections.abc import Sequence

import anyio
from starlette.requests import Request

from edge.api.leaving import unless_gone
from edge.api.requests import ImagePart, Message
from edge.api.turns import Images
from edge.errors import InvalidField
from edge.images import ImageError, ImageSource
from edge.models.served import ServedModel

MAX_IMAGES = 8
MAX_TOTAL_BYTES = 32 * 1024 * 1024
"""Of all images of a request: they travel to the worker in one frame with its text."""


async def fetch_images(request: Request, served: ServedModel, messages: Sequence[Message]) -> Images:
    """Return the image of every part of *messages* that refers to one.

    Raises:
        InvalidField: the model sees no images, or one of them cannot be had.
        ClientGone: the client left meanwhile.
    """
    wanted = [
        (number, place, part) for number, message in enumerate(messages) for place, part in message.images
    ]
    if not wanted:
        return {}
    number, place, _ = wanted[0]
    if "vision" not in served.model.capabilities:
        raise _refused(number, place, f"model '{served.id}' does not support image input")
    if len(wanted) > MAX_IMAGES:
        number, place, _ = wanted[MAX_IMAGES]
        raise _refused(number, place, f"a request may have {MAX_IMAGES} images")
    return await unless_gone(request.receive, _read_all(request.app.state.images, wanted))


async def _read_all(source: ImageSource, wanted: Sequence[tuple[int, int, ImagePart]]) -> Images:
    read: dict[tuple[int, int], bytes] = {}
    failed: list[InvalidField] = []
    async with anyio.create_task_group() as tasks:

        async def take(number: int, place: int, part: ImagePart) -> None:
            try:
                read[number, place] = await source.read(part.image_url.url)
                if sum(map(len, read.values())) > MAX_TOTAL_BYTES:
                    raise ImageError(f"the images are larger than {MAX_TOTAL_BYTES} bytes in all")
            except ImageError as error:
                failed.append(_refused(number, place, f"the image cannot be used: {error}"))
                tasks.cancel_scope.cancel()

        for number, place, part in wanted:
            tasks.start_soon(take, number, place, part)
    if failed:
        raise failed[0]
    return read


def _refused(number: int, place: int, why: str) -> InvalidField:
    param = f"messages.{number}.content.{place}"
    return InvalidField(f"{param}: {why}", param=param)
