from collections.abc import Callable
from typing import Any

import pytest

from edge.workers.messages import Load

Order = Callable[..., Load]


@pytest.fixture
def order() -> Order:
    def make(files: dict[str, str] | None = None, **options: Any) -> Load:
        return Load("tests.edge.workers.scripted_engine", files or {}, options)

    return make
