"""Decimal numbers in a range, as regular expressions.

No number has more than 15 significant digits unless it is an integer: any two such decimals are different
doubles (IEEE 754 binary64), so a number inside an open bound is still inside once it has been parsed.
Exponents occur only where there are no bounds, of two digits at most, so that no number overflows to
infinity.
"""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from edge.engines.llm.json_schema.alternatives import Number

FREE = r"/-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,14})?(?:[eE][+-]?[0-9]{1,2})?/"
_FREE_DIGITS = 18
"""Digits of an integer that has no bound: it fits 64 bits."""
_MULTIPLES_LISTED = 256
MAX_DIGITS = 40
"""Digits of a bound; beyond it numbers are not what anybody counts with."""


def literal(value: Fraction) -> str:
    """Return the decimal text of *value*, which has one: it came out of a JSON text."""
    if value.denominator == 1:
        return str(value.numerator)
    number = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(number) != value:
        raise ValueError(f"{value} has no short decimal text")
    return format(number, "f")


def bounds(of: Number) -> tuple[int | None, int | None]:
    """Return the least and the greatest integer of a range."""
    low = None if of.lower is None else floor(of.lower) + 1 if of.lower_open else ceil(of.lower)
    high = None if of.upper is None else ceil(of.upper) - 1 if of.upper_open else floor(of.upper)
    return low, high


def is_empty(of: Number) -> bool:
    """Whether no number at all is in the range, however long its text."""
    step = of.multiple
    if of.integer:
        step = (
            Fraction(1) if step is None else Fraction(step.numerator)
        )  # the integers among the multiples of n/d
    if of.lower is None or of.upper is None:
        return False
    if of.lower > of.upper or (of.lower == of.upper and (of.lower_open or of.upper_open)):
        return True
    if step is None:
        return False
    first = floor(of.lower / step) + 1 if of.lower_open else ceil(of.lower / step)
    last = ceil(of.upper / step) - 1 if of.upper_open else floor(of.upper / step)
    return first > last


def terminal(of: Number) -> str | None:
    """Return a Lark terminal's expression for the range, None if only :func:`embedded` can tell it."""
    if of.lower is not None and of.lower == of.upper:
        return None if is_empty(of) else f'"{literal(of.lower)}"'
    step = of.multiple
    if step is not None and step.denominator == 1:
        return _multiples(of, step.numerator)
    if of.integer:
        return _multiples(of, step.numerator) if step is not None else _integers(*bounds(of))
    if of.lower is None and of.upper is None and step is None:
        return FREE
    return _decimals(of)


def embedded(of: Number) -> dict[str, object]:
    """Return a JSON schema for the multiples of an integer: the library counts remainders."""
    assert of.multiple is not None
    low, high = _limited(*bounds(of), digits=15)
    return {"type": "integer", "multipleOf": of.multiple.numerator, "minimum": low, "maximum": high}


def _multiples(of: Number, step: int) -> str | None:
    low, high = bounds(of)
    if step == 1:
        return _integers(low, high)
    if low is None or high is None or (high - low) // step > _MULTIPLES_LISTED:
        return None
    first = -(-low // step) * step
    return " | ".join(f'"{value}"' for value in range(first, high + 1, step))


def _limited(low: int | None, high: int | None, *, digits: int) -> tuple[int, int]:
    reach = 10**digits - 1
    bottom = low if low is not None else min(-reach, high * 10 if high is not None and high < 0 else -reach)
    top = high if high is not None else max(reach, low * 10 if low is not None and low > 0 else reach)
    return bottom, top


def _integers(low: int | None, high: int | None) -> str:
    low, high = _limited(low, high, digits=_FREE_DIGITS)
    parts = []
    if low < 0:
        parts.append(f"-(?:{'|'.join(_naturals(max(1, -high), -low))})")
    if high >= 0:
        parts += _naturals(max(0, low), high)
    return f"/{'|'.join(parts)}/"


def _naturals(low: int, high: int) -> list[str]:
    """Return expressions for the integers of *low* to *high*, none of them negative."""
    found = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 0 if length == 1 else 10 ** (length - 1))
        last = min(high, 10**length - 1)
        found += _same_length(str(first), str(last))
    return found


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    rest = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return [f"[0-9]{{{len(low)}}}"]
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return [f"[{low[0]}-{high[0]}]" + (f"[0-9]{{{rest}}}" if rest else "")]
    if low[0] == high[0]:
        return [low[0] + tail for tail in _same_length(low[1:], high[1:])]
    found = [low[0] + tail for tail in _same_length(low[1:], "9" * rest)]
    if int(high[0]) - int(low[0]) > 1:
        middle = f"[{int(low[0]) + 1}-{int(high[0]) - 1}]"
        found.append(middle + (f"[0-9]{{{rest}}}" if rest else ""))
    return found + [high[0] + tail for tail in _same_length("0" * rest, high[1:])]


def _decimals(of: Number) -> str:
    longest = max([15, *(len(str(abs(floor(b)))) + 1 for b in (of.lower, of.upper) if b is not None)])
    digits = rf"/[0-9]{{1,{longest}}}|[0-9.]{{3,16}}/"
    base = rf"/(?:0|[1-9][0-9]*)(?:\.{_fraction(of.multiple)})?/ & {digits}"
    parts = []
    if of.upper is None or of.upper >= 0:
        parts.append(_magnitudes(base, of.lower, of.lower_open, of.upper, of.upper_open))
    if of.lower is None or of.lower < 0:
        low, low_open = (-of.upper, of.upper_open) if of.upper is not None else (None, False)
        if low is None or low < 0:
            low, low_open = Fraction(0), True  # no minus zero
        high = None if of.lower is None else -of.lower
        parts.append(f'"-" ({_magnitudes(base, low, low_open, high, of.lower_open)})')
    return " | ".join(f"({part})" for part in parts)


def _fraction(step: Fraction | None) -> str:
    if step is None:
        return "[0-9]+"
    texts = [literal(step * n)[2:] for n in range(1, step.denominator)]
    return f"(?:{'|'.join(['0', *texts])})"


def _magnitudes(
    base: str, low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool
) -> str:
    found = base
    if low is not None and (low > 0 or (low == 0 and low_open)):
        found += f" & /{_above(low, strict=low_open)}/"
    if high is not None:
        found += f" & ~/{_above(high, strict=not high_open)}/"
    return found


def _above(bound: Fraction, *, strict: bool) -> str:
    """Return an expression for the decimals above *bound*, which is not negative; with it unless *strict*."""
    whole, _, part = literal(bound).partition(".")
    fraction = r"(?:\.[0-9]+)?"
    found = [rf"[1-9][0-9]{{{len(whole)},}}{fraction}"]
    for i, digit in enumerate(whole):
        if digit != "9":
            tail = len(whole) - i - 1
            found.append(rf"{whole[:i]}[{int(digit) + 1}-9][0-9]{{{tail}}}{fraction}")
    for i, digit in enumerate(part):
        if digit != "9":
            found.append(rf"{whole}\.{part[:i]}[{int(digit) + 1}-9][0-9]*")
    found.append(rf"{whole}\.{part}[0-9]*[1-9][0-9]*")
    if not strict:
        found.append(rf"{whole}\.{part}0*" if part else rf"{whole}(?:\.0+)?")
    return "|".join(found)


def is_dyadic(step: Fraction) -> bool:
    """Whether *step* is one of 1/2, 1/4, 1/8 and 1/16."""
    return step.numerator == 1 and step.denominator in (2, 4, 8, 16)
