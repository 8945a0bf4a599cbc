"""What fields of several requests are made of: bounds, numbers, lists and texts."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

MAX_INPUTS = 2048
MAX_PROMPT_TOKENS = 262_144
"""Token ids of one prompt or input: the longest context of any model that the published API serves."""
MAX_NAME_CHARACTERS = 256
MAX_STOPS = 4
MAX_INT32 = 2**31 - 1
"""What engines take for token ids and counts; JSON knows no bound."""

Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Natural = Annotated[int, Field(ge=0, le=MAX_INT32)]
TokenIds = Annotated[list[Natural], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]
"""Like every list here it is bounded and ends at its first mistake: a body of a few megabytes could
otherwise make millions of them, and the seconds that they take are everybody's."""
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class ApiModel(BaseModel):
    """Fields that we do not know are ignored; types are not guessed: ``"12"`` is no number."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, protected_namespaces=())


class FormModel(BaseModel):
    """The fields of a query or a form: everything arrives as text."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())


def in_one_sentence(sentence: str) -> WrapValidator:
    """Return the validator that says *sentence* where pydantic lists what each member of a union has against
    the value."""

    def check(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(sentence) from None

    return WrapValidator(check)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Stop = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(max_length=MAX_STOPS, fail_fast=True),
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]


def each(texts: str | list[int] | list[str] | list[list[int]]) -> list[str | list[int]]:
    """Return the elements of a ``Texts`` value."""
    if isinstance(texts, str):
        return [texts]
    tokens = [item for item in texts if isinstance(item, int)]
    return [tokens] if tokens else [item for item in texts if not isinstance(item, int)]


def _none_empty(
    texts: str | list[int] | list[str] | list[list[int]],
) -> str | list[int] | list[str] | list[list[int]]:
    parts = each(texts)
    if not any(parts):
        raise ValueError("must not be empty")
    empty = [index for index, part in enumerate(parts) if not part]
    if empty:
        raise ValueError(f"number {empty[0]}, counted from 0, is empty")
    return texts


Texts = Annotated[
    str
    | TokenIds
    | Annotated[list[str], Field(max_length=MAX_INPUTS, fail_fast=True)]
    | Annotated[list[TokenIds], Field(max_length=MAX_INPUTS, fail_fast=True)],
    in_one_sentence(
        "give a text, token ids from 0 up, or a list of either; none empty, "
        f"no more than {MAX_INPUTS} of them and {MAX_PROMPT_TOKENS} token ids in each"
    ),
    AfterValidator(_none_empty),
]
"""Text, token ids, or a list of either."""
