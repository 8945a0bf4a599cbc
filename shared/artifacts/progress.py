"""How a fetch tells what it is doing, without knowing who watches."""

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Meter(Protocol):
    """Shows how far one download has come."""

    @abstractmethod
    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        """Take the bytes there are so far, and all that are expected if that is known."""


class Progress(Protocol):
    """Shows what a fetch is doing."""

    @abstractmethod
    def meter(self, label: str, total_bytes: int | None = None) -> AbstractContextManager[Meter]:
        """Show one more thing under way until the context ends."""

    @abstractmethod
    def say(self, message: str) -> None:
        """Show one line."""


class _Unseen(Meter):
    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        pass


class Silent(Progress):
    """Shows nothing."""

    def meter(self, label: str, total_bytes: int | None = None) -> AbstractContextManager[Meter]:  # noqa: ARG002
        return nullcontext(_Unseen())

    def say(self, message: str) -> None:
        pass
