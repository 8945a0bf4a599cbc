"""The turns of a chat that clients send."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.api.requests.fields import ApiModel
from edge.api.requests.tools import MAX_TOOLS

MAX_MESSAGES = 10_000
MAX_PARTS = 1_000


class TextPart(ApiModel):
    type: Literal["text"]
    text: str


class RefusalPart(ApiModel):
    """What an assistant said when it would not answer."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class ImageUrl(ApiModel):
    url: str = Field(description="A `data:` URI in base64, or a public http or https URL")
    detail: str | None = None


class ImagePart(ApiModel):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | RefusalPart | ImagePart, Field(discriminator="type")]


class CalledFunction(ApiModel):
    name: str
    arguments: str = Field(description="A JSON object, as text")


class CalledTool(ApiModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(ApiModel):
    """A turn of a chat. ``developer`` is OpenAI's newer name of ``system``, ``function`` its older one of
    ``tool``.

    Only an assistant may say nothing: clients leave the ``content`` of a turn out that called a tool.
    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[Part], Field(max_length=MAX_PARTS, fail_fast=True)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[CalledTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.role not in {"assistant", "function"}:
            raise ValueError(f"a {self.role} message needs content")
        return self

    @property
    def text(self) -> str:
        """The text of the message, its parts joined by newlines."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if not isinstance(part, ImagePart))
        return self.content or ""

    @property
    def images(self) -> list[tuple[int, ImagePart]]:
        """Every image, with the number of its part."""
        if not isinstance(self.content, list):
            return []
        return [(number, part) for number, part in enumerate(self.content) if isinstance(part, ImagePart)]


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
