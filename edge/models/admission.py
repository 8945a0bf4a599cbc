"""Whether a model may be started with the memory that is left."""

from collections.abc import Mapping

from edge.workers.process import StartError
from edge.workers.worker import State
from shared.artifacts import megabytes


class NotEnoughMemory(StartError):
    """The model needs more memory than is free; the message has the numbers and says what to unload."""

    code = "insufficient_memory"


class Admission:
    """Admits models one by one, each with what it needs.

    Memory is promised to every model that is loading, also to one whose process died, until it is loaded and
    the system counts it. So several may load at once. What a process has taken while it loads counts twice:
    rather a refusal than a machine that swaps. *spare_bytes* are never given away.
    """

    def __init__(self, spare_bytes: int) -> None:
        self._spare_bytes = spare_bytes
        self._needs: dict[str, int] = {}

    def admit(self, model: str, need: int, free: int | None, states: Mapping[str, State]) -> None:
        """Promise *need* bytes of the *free* ones to *model*; *states* are those of all models.

        With *free* None, because the system does not tell, every model is admitted.

        Raises:
            NotEnoughMemory: too few are left. Nothing is unloaded for it.
        """
        others = {other: need for other, need in self._needs.items() if other != model}
        promised = sum(need for other, need in others.items() if states.get(other) is State.LOADING)
        if free is not None and need > free - promised - self._spare_bytes:
            loaded = {other: need for other, need in others.items() if states.get(other) is State.LOADED}
            raise NotEnoughMemory(self._explain(model, need, free, promised, loaded))
        self._needs[model] = need

    def _explain(self, model: str, need: int, free: int, promised: int, loaded: Mapping[str, int]) -> str:
        says = [f"{model} needs about {megabytes(need)} of memory and {megabytes(free)} are free"]
        if promised:
            says.append(f"{megabytes(promised)} of them are promised to models that are loading")
        if self._spare_bytes:
            says.append(f"{megabytes(self._spare_bytes)} are kept spare")
        largest = sorted(loaded, key=lambda other: -loaded[other])
        listed = ", ".join(f"{other} (about {megabytes(loaded[other])})" for other in largest)
        return f"{', '.join(says)}; " + (f"unload another model: {listed}" if listed else "free some")
