"""How much of a tenant's credits goes where, in micro-units."""

QUARTER = 4
"""No more than this part of a balance leaves for a lease at once, unless it is needed: others want some."""

STANDING_PART = 17
"""A lease that nobody uses holds no more than this part of itself and the balance together."""


def drawn(balance: int, *, need: int, wish: int) -> int:
    """Return what a lease that needs *need* and wishes for *wish* gets of a balance that has *need*."""
    return max(need, min(wish, balance // QUARTER))


def standing(balance: int, left: int, most: int) -> int:
    """Return what a lease that has *left* should hold while nobody uses it, *most* if there is plenty."""
    return max(0, min(most, (balance + left) // STANDING_PART))


def growth(balance: int, left: int, most: int) -> int:
    """Return what a lease lacks that has less than half of what it should hold, else zero."""
    due = standing(balance, left, most)
    return due - left if 2 * left < due else 0


def excess(balance: int, left: int, most: int) -> int:
    """Return what a lease has too much that has more than half as much again as it should hold, else zero."""
    due = standing(balance, left, most)
    return left - due if 2 * left > 3 * due else 0
