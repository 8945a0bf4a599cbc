"""What operators send to load and unload models, and what they get back."""

from typing import Literal

from pydantic import Field
from typing_extensions import TypedDict

from edge.api.requests.fields import ApiModel, ModelName
from edge.api.responses import ErrorBody

Force = bool | None


class LoadRequest(ApiModel):
    model_name: ModelName = Field(description="Id or alias of a model of the catalogue")
    force_reload: bool | None = Field(default=None, description="Start the process of a loaded model anew")
    force: Force = Field(
        default=None, description="With `force_reload`: end the requests in flight in an error; else 409"
    )


class UnloadRequest(ApiModel):
    model_name: ModelName = Field(description="Id or alias of a model of the catalogue")
    force: Force = Field(default=None, description="End the requests in flight in an error; else 409")


class UnloadAllRequest(ApiModel):
    force: Force = Field(
        default=None, description="End the requests in flight in an error; else their models stay"
    )


class LoadAnswer(TypedDict):
    """``loading``: the load goes on, and the same call again waits for it."""

    status: Literal["success", "loading"]
    model: str
    force_reload: bool
    message: str


class UnloadAnswer(TypedDict):
    status: Literal["success"]
    model: str
    message: str


class UnloadAllAnswer(TypedDict):
    """``partial``: some models stay, and ``errors`` has a sentence on each."""

    status: Literal["success", "partial"]
    unloaded_models: list[str]
    errors: list[str]
    total_unloaded: int


class LoadRefusal(ErrorBody):
    """The error body, and what the answer would hold."""

    status: Literal["failed"]
    model: str
    force_reload: bool
    message: str


class UnloadRefusal(ErrorBody):
    """The error body, and what the answer would hold."""

    status: Literal["failed"]
    model: str
    message: str


class UnloadAllRefusal(ErrorBody):
    """The error body, and what the answer would hold."""

    status: Literal["failed"]
    unloaded_models: list[str]
    errors: list[str]
    total_unloaded: int
