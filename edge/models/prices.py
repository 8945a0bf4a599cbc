"""What the use of a model costs.

Money is counted in whole micro-units: a million of them are one unit of the operator's currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.validation import reason

if TYPE_CHECKING:
    from edge.models.catalogue import Catalogue

MICRO = 1_000_000
"""Micro-units in one unit."""

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
"""In units of the currency."""


class PricesError(Exception):
    """The file of prices cannot be used; the message names the model and the field at fault."""


class PriceSpec(BaseModel):
    """Prices as the catalogue and the file of prices write them, in units; what is absent costs nothing.

    Input tokens that were not computed again cost as much as the others, unless they have a price.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_per_million: Amount = Decimal(0)
    cached_per_million: Amount | None = None
    output_per_million: Amount = Decimal(0)
    per_minute: Amount = Decimal(0)
    per_thousand_characters: Amount = Decimal(0)

    @property
    def price(self) -> "Price":
        cached = self.input_per_million if self.cached_per_million is None else self.cached_per_million
        return Price(
            input=_micro(self.input_per_million),
            cached=_micro(cached),
            output=_micro(self.output_per_million),
            minute=_micro(self.per_minute),
            thousand_characters=_micro(self.per_thousand_characters),
        )


def _micro(amount: Decimal) -> int:
    return int(amount * MICRO)


@dataclass(frozen=True, slots=True)
class Price:
    """In micro-units: ``input``, ``cached`` and ``output`` for a million tokens, ``minute`` of audio."""

    input: int = 0
    cached: int = 0
    output: int = 0
    minute: int = 0
    thousand_characters: int = 0


FREE = Price()


def read_prices(file: Path, catalogue: "Catalogue") -> Mapping[str, Price]:
    """Return the prices in *file* by the ids of their models.

    It is YAML: ids or aliases of the catalogue, each with the fields of :class:`PriceSpec`.

    Raises:
        PricesError: the file cannot be read, an entry of it is wrong, or two are of one model.
    """
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
        specs = TypeAdapter(dict[str, PriceSpec]).validate_python(content or {})
    except OSError as error:
        raise PricesError(f"the prices {file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PricesError(f"the prices {file} are not YAML: {error}") from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {reason(item)}" for item in error.errors())
        raise PricesError(f"the prices {file}: {told}") from None
    prices: dict[str, Price] = {}
    for name, spec in specs.items():
        if (model := catalogue.resolve(name)) is None:
            raise PricesError(f"the prices {file}: the catalogue has no model {name!r}")
        if model.id in prices:
            raise PricesError(f"the prices {file}: the model {model.id} is priced twice")
        prices[model.id] = spec.price
    return MappingProxyType(prices)
