import numpy as np
import pytest

from edge.engines.base import InvalidRequest, Job
from edge.engines.embed.task import Task
from edge.workers.messages import Embed


def task_of(*inputs: str | list[int], dimensions: int | None = None) -> Task:
    job = Job(Embed(list(inputs), dimensions), lambda event: None, lambda error: None)
    return Task(job, dimensions=4)


def words(item: str | list[int], index: int) -> list[int]:
    return list(map(len, item.split())) if isinstance(item, str) else item


def test_inputs_are_read_in_portions() -> None:
    task = task_of("one two", [7, 8, 9], "three")
    assert not task.read(words, 1)
    assert task.sizes == [2]
    assert not task.read(words, 3)
    assert task.sizes == [2, 3]
    assert task.read(words, 1)
    assert task.tokens == [[3, 3], [7, 8, 9], [5]]


def test_vectors_come_in_any_order() -> None:
    task = task_of("a", "b b", dimensions=2)
    assert task.read(words, 100)
    task.start()
    assert not task.store(1, np.array([3, 4, 9, 9], np.float32))
    assert task.store(0, np.array([0, 5, 9, 9], np.float32))
    answer = task.answer()
    rows = np.frombuffer(answer.data, "<f4").reshape(2, 2)
    assert rows == pytest.approx(np.array([[0, 1], [0.6, 0.8]]))
    assert (answer.dimensions, answer.prompt_tokens) == (2, 3)
    assert answer.queue_ms >= 0
    assert answer.inference_ms >= 0


@pytest.mark.parametrize("dimensions", [-1, 0, 5])
def test_dimensions_are_bounded_by_the_model(dimensions: int) -> None:
    with pytest.raises(InvalidRequest, match="at most 4"):
        task_of("a", dimensions=dimensions)
