from pathlib import Path

import pytest

from edge.models import load_catalogue
from edge.models.prices import FREE, Price, PricesError, PriceSpec, read_prices


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    return file


def test_every_model_of_the_catalogue_has_a_price() -> None:
    assert all(model.price != FREE for model in load_catalogue())


def test_amounts_are_whole_micro_units() -> None:
    spec = PriceSpec.model_validate({"input_per_million": 0.2, "output_per_million": "0.75"})
    assert spec.price == Price(input=200_000, cached=200_000, output=750_000)


def test_a_price_of_cached_tokens_is_their_own() -> None:
    spec = PriceSpec.model_validate({"input_per_million": 2, "cached_per_million": 0})
    assert spec.price == Price(input=2_000_000, cached=0)


def test_a_file_overrides_the_catalogue(tmp_path: Path) -> None:
    catalogue = load_catalogue()
    prices = read_prices(write(tmp_path, "smollm2: {output_per_million: 3}\nhibari: {}\n"), catalogue)
    priced = catalogue.priced(prices)
    model = priced.resolve("gpt-4o")
    assert model is not None
    assert model.price == Price(output=3_000_000)
    assert {item.id for item in priced if item.price == FREE} == {"hibari"}
    kokoro, before = priced.resolve("kokoro-82m"), catalogue.resolve("kokoro-82m")
    assert kokoro is not None
    assert kokoro == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nobody: {}", "has no model 'nobody'"),
        ("hibari: {per_minute: -1}", "hibari.per_minute"),
        ("hibari: {per_minute: 0.0000001}", "hibari.per_minute"),
        ("hibari: {per_hour: 1}", "hibari.per_hour"),
        ("gpt-4o: {}\nsmollm2: {}", "priced twice"),
        ("- hibari", "dictionary"),
        ("hibari: [", "not YAML"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PricesError, match=told):
        read_prices(write(tmp_path, text), load_catalogue())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match=r"absent\.yaml cannot be read"):
        read_prices(tmp_path / "absent.yaml", load_catalogue())
