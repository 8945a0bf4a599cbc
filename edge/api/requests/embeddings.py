"""What clients may send to have texts embedded."""

from typing import Annotated, Literal

from pydantic import Field

from edge.api.requests.fields import MAX_INT32, ApiModel, ModelName, Texts, each


class EmbeddingRequest(ApiModel):
    model: ModelName
    input: Texts = Field(description="Text, token ids, or a list of either: one vector for each")
    encoding_format: Literal["float", "base64"] | None = Field(default=None, description="float when absent")
    dimensions: Annotated[int, Field(ge=1, le=MAX_INT32)] | None = Field(
        default=None, description="Keep this many leading numbers, scaled back to unit length"
    )
    user: str | None = None

    @property
    def inputs(self) -> list[str | list[int]]:
        """Every input of the request."""
        return each(self.input)
