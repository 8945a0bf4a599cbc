"""What clients may send to have a prompt continued."""

from typing import Annotated

from pydantic import Field

from edge.api.requests.fields import Texts, each
from edge.api.requests.sampling import MAX_CHOICES, MAX_TOKENS, Logprobs, Sampling

MAX_PROMPTS = 64

TokenLimitOrZero = Annotated[int, Field(ge=0, le=MAX_TOKENS)]
"""Unlike a chat, a completion can be asked for no token: for its prompt alone."""


class CompletionRequest(Sampling):
    prompt: Texts = Field(description="Text, token ids, or a list of either: n choices for each")
    max_tokens: TokenLimitOrZero | None = Field(
        default=None,
        description="Most tokens to make; up to the context that is left when absent. 0, with echo: the "
        "prompt alone, with its log-probabilities if logprobs asks for them",
    )
    max_completion_tokens: TokenLimitOrZero | None = Field(
        default=None, description="Another name of max_tokens; wins over it"
    )
    echo: bool | None = Field(default=None, description="Begin each text with its prompt")
    suffix: str | None = Field(
        default=None, description="What comes after the text to make, where the model can fill in"
    )
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        default=None,
        description="Make this many choices of each prompt, and return the n whose tokens are likeliest; "
        "n when absent, and not more than it in a stream",
    )
    logprobs: Logprobs | None = Field(
        default=None,
        description="Tell the log-probability of each token and of this many likeliest ones at its place",
    )

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every prompt of the request."""
        return each(self.prompt)
