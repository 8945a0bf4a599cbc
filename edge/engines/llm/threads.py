"""How many threads compute a step, found out while it goes on."""

from collections import deque

TRIAL_STEPS = 3
"""Steps that another number of threads is tried for. The shortest counts: what disturbs a single step makes
it longer, never shorter, while a busy neighbour lengthens all of them."""

RECENT_STEPS = 8
"""Steps that a trial is compared with."""

FIRST_WAIT = 64
LONGEST_WAIT = 4096
"""Steps between two trials: twice as many after each one that changed nothing."""

BETTER = 0.9
"""A trial must take at most this part of the time."""

WORSE = 1.6
"""When all recent steps take so many times the usual one, something else uses the machine."""


def ladder(threads: int) -> list[int]:
    """Return the numbers of threads that are worth a try, up to *threads*, ascending."""
    return sorted({max(1, part) for part in (threads, threads - 1, threads * 3 // 4, threads // 2, 1)})


class ThreadChoice:
    """Chooses among up to *threads*, by the time that steps of the same number of rows take.

    All threads of a step wait for the slowest. Beside one other busy process a step of two threads on two
    cores takes five times as long as before, one of a single thread hardly longer than it always does.
    """

    def __init__(self, threads: int) -> None:
        self._ladder = ladder(threads)
        self._at = len(self._ladder) - 1
        self._trying: int | None = None
        self._up = False
        self._rows = 0
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._trial: list[float] = []
        self._usual = 0.0
        self._wait = FIRST_WAIT
        self._left = FIRST_WAIT

    @property
    def threads(self) -> int:
        """With how many threads the next step should be computed."""
        return self._ladder[self._at if self._trying is None else self._trying]

    def note(self, rows: int, seconds: float) -> None:
        """Take note of how long a step of *rows* took with :attr:`threads`."""
        if len(self._ladder) == 1:
            return
        if rows != self._rows:
            self._rows = rows
            self._usual = 0.0
            self._recent.clear()
            self._trial.clear()
            self._trying = None
        elif self._trying is not None:
            self._trial.append(seconds)
            if len(self._trial) == TRIAL_STEPS:
                self._judge()
            return
        self._recent.append(seconds)
        self._left -= 1
        if len(self._recent) == RECENT_STEPS:
            self._usual = self._usual or min(self._recent)
            if min(self._recent) > WORSE * self._usual:
                self._wait = FIRST_WAIT
                self._left = 0
                self._usual = 0.0
        if self._left <= 0 and len(self._recent) == RECENT_STEPS:
            self._begin()

    def _begin(self) -> None:
        down, up = self._at - 1, self._at + 1
        if self._up:
            self._trying = up if up < len(self._ladder) else down
        else:
            self._trying = down if down >= 0 else up
        self._up = not self._up

    def _judge(self) -> None:
        if min(self._trial) < BETTER * min(self._recent):
            assert self._trying is not None
            self._at = self._trying
            self._wait = FIRST_WAIT
        else:
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._left = self._wait
        self._trying = None
        self._trial.clear()
        self._recent.clear()
