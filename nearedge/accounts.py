"""What the commands about keys and tenants share."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from nearedge.console import fail, load_settings
from nearedge.settings import Settings

if TYPE_CHECKING:
    from edge.accounts import Registry

T = TypeVar("T")


def with_registry(home: Path | None, act: Callable[["Registry", Settings], Awaitable[T]]) -> T:
    """Return what *act* does with the tenants and keys of the fleet, or of the node whose state is in *home*.

    Ends the command if the database cannot be used, or if what was asked for cannot be done.
    """
    from edge.accounts import KeyEnded, NoSuchKey, NoSuchTenant, TenantExists, open_registry
    from edge.store import StoreError

    settings = load_settings(home=home)

    async def run() -> T:
        async with open_registry(settings.home, settings.fleet_url) as registry:
            return await act(registry, settings)

    try:
        return anyio.run(run)
    except StoreError as error:
        fail(f"the database cannot be used: {error}")
    except (KeyEnded, NoSuchKey, NoSuchTenant, TenantExists) as error:
        fail(str(error))
    except ValueError as error:
        fail(str(error), code=2)


def parse_moment(text: str) -> datetime:
    """Return the moment that an RFC 3339 text says.

    Raises:
        ValueError: it says none, or not in which time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is no RFC 3339 time; write 2027-01-31T23:59:59Z")
    return moment.astimezone(UTC)
