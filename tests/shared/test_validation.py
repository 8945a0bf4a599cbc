import pytest
from pydantic import BaseModel, ValidationError, field_validator

from shared.validation import reason


class Model(BaseModel):
    word: str = ""
    number: int = 0

    @field_validator("word")
    @classmethod
    def _is_known(cls, word: str) -> str:
        raise ValueError(f"{word} is unknown")


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"word": "x"}, "x is unknown"), ({"number": "x"}, "Input should be a valid integer")],
)
def test_reason_is_what_the_validator_says(values: dict[str, str], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(values)
    (item,) = caught.value.errors()
    assert reason(item).startswith(expected)
