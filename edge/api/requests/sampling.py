"""What chats and completions have in common."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from edge.api.requests.fields import (
    MAX_INT32,
    ApiModel,
    ModelName,
    Natural,
    Penalty,
    Probability,
    Stop,
    Temperature,
)

MAX_TOKENS = 4096
MAX_CHOICES = 16
MAX_BIASES = 1024
MAX_LOGPROBS = 20
_SHOWN_KEY = 40
_TOKEN_ID = re.compile(r"[0-9]{1,10}", re.ASCII)


def _biases(value: object) -> object:
    """Check *value* by hand: pydantic would go on to the last of a million keys after the first mistake."""
    if not isinstance(value, dict):
        return value
    if len(value) > MAX_BIASES:
        raise ValueError(f"holds more than {MAX_BIASES} token ids")
    for key, bias in value.items():
        if not _TOKEN_ID.fullmatch(key) or int(key) > MAX_INT32:
            raise ValueError(f"the key {key[:_SHOWN_KEY]!r} is no token id")
        if isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
            raise ValueError(f"the bias of {key} must be a number from -100 to 100")
    return value


LogitBias = Annotated[
    dict[str, float],
    BeforeValidator(_biases, json_schema_input_type=dict[str, Annotated[float, Field(ge=-100, le=100)]]),
]
TokenLimit = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Logprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]


class StreamOptions(ApiModel):
    include_usage: bool | None = Field(
        default=None, description="Also send the usage in a last chunk of its own, without choices"
    )


class Sampling(ApiModel):
    """What chat and completions have in common. Defaults are OpenAI's."""

    model: ModelName
    max_tokens: TokenLimit | None = Field(
        default=None, description="Most tokens to make; up to the context that is left when absent"
    )
    max_completion_tokens: TokenLimit | None = Field(
        default=None, description="OpenAI's newer name of max_tokens; wins over it"
    )
    temperature: Temperature | None = Field(default=None, description="1.0 when absent; 0 is greedy")
    top_p: Probability | None = Field(default=None, description="1.0 when absent")
    top_k: Natural | None = Field(default=None, description="0 or absent: off")
    min_p: Probability | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = Field(
        default=None, description="1.0 when absent: off"
    )
    logit_bias: LogitBias | None = Field(
        default=None, description="Added to the logits of the tokens whose ids are the keys"
    )
    seed: int | None = Field(default=None, description="The same seed makes the same text again")
    stop: Stop | None = Field(default=None, description="The text ends before the first of these")
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        default=None, description="Choices to make of each prompt; 1 when absent"
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None

    @property
    def token_limit(self) -> int | None:
        """The most tokens to make of each choice; None is what fits into the context."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
