"""Select the waiting sequences to compute next: pure logic, without threads and clocks.

Every sequence has a deadline: the time at which its request arrived, plus SLACK times the time needed to
compute the request up to this sequence. Small requests thus overtake large ones, and short texts overtake
long ones, but not forever, because deadlines do not move. The sequence with the earliest deadline leads the
next batch, which is filled with sequences of similar length.
"""

import heapq
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SLACK = 2.0  # a request may take this many times as long as on an idle machine before it has priority
MOST_DELAY = 10.0  # seconds; no deadline is later than this after the arrival
# For models without padding, whose batches can mix lengths at no cost: the largest length relative to the
# mean of the batch, because the short ones wait for the long ones.
_MIXING = 2.0


@dataclass(slots=True, eq=False)
class Waiting:
    """A sequence that waits to be computed."""

    length: int  # tokens
    deadline: float  # in seconds, on the clock of the caller
    request: Any  # opaque to the queue, like `number`
    number: int
    is_gone: bool = False  # computed, or no longer wanted


@dataclass(frozen=True)
class Costs:
    """The cost of computing a batch, as measured at the start."""

    tokens_per_second: float
    call_tokens: int  # tokens that could be computed in the time that a call of the model takes in addition
    pads: bool  # whether a batch costs as many tokens as its longest sequence has, for each sequence


@dataclass
class Schedule:
    """The waiting sequences of one model."""

    max_tokens: int  # padded tokens in a batch
    costs: Costs
    calls: int = 1  # batches that are computed at the same time
    tokens: int = 0  # total over all waiting sequences
    sequences: int = 0
    _by_deadline: list[tuple[float, int, Waiting]] = field(default_factory=list)
    _by_length: dict[int, deque[Waiting]] = field(default_factory=dict)
    _lengths: list[int] = field(default_factory=list)  # ascending; those that occur in _by_length
    _counter: int = 0

    def add(self, request: Any, lengths: Iterable[int], now: float) -> list[Waiting]:
        """Queue the sequences of a request; `lengths` are in tokens. Returns them in the same order."""
        lengths = list(lengths)
        found: list[Waiting] = []
        before = 0
        deadlines = [0.0] * len(lengths)
        for position in sorted(range(len(lengths)), key=lengths.__getitem__):
            before += lengths[position]
            deadlines[position] = now + min(MOST_DELAY, SLACK * before / self.costs.tokens_per_second)
        for number, (length, deadline) in enumerate(zip(lengths, deadlines, strict=True)):
            waiting = Waiting(length, deadline, request, number)
            self._counter += 1
            heapq.heappush(self._by_deadline, (deadline, self._counter, waiting))
            if length not in self._by_length:
                self._by_length[length] = deque()
                insort(self._lengths, length)
            self._by_length[length].append(waiting)
            found.append(waiting)
        self.tokens += sum(lengths)
        self.sequences += len(lengths)
        return found

    def remove(self, waiting: Iterable[Waiting]) -> None:
        """Forget sequences that are no longer wanted. Those already computed are ignored."""
        for item in waiting:
            if not item.is_gone:
                self._take(item)

    def next_batches(self, idle: int) -> list[list[Waiting]]:
        """Remove and return the sequences to compute next: at most one batch for each of the `idle` calls.

        They share the waiting tokens. If only one call is idle, its batch takes no more than a share either,
        because the others will soon be free for the rest.
        """
        found = []
        for left in range(idle, 0, -1):
            shares = left if idle > 1 else self.calls
            if batch := self._next_batch(min(self.max_tokens, -(-self.tokens // shares))):
                found.append(batch)
        return found

    def _next_batch(self, most: int) -> list[Waiting]:
        """A batch of at most `most` padded tokens, or a single sequence; an empty list if none waits."""
        while self._by_deadline and self._by_deadline[0][2].is_gone:
            heapq.heappop(self._by_deadline)
        if not self._by_deadline:
            return []
        leader = self._by_deadline[0][2]
        self._take(leader)
        batch, longest, used = [leader], leader.length, leader.length
        while (nearest := self._nearest(longest, len(batch), used, most)) is not None:
            self._take(nearest)
            batch.append(nearest)
            longest = max(longest, nearest.length)
            used += nearest.length
        return batch

    def _nearest(self, longest: int, size: int, used: int, most: int) -> Waiting | None:
        """The sequence that adds the least padding to a batch, or None if none fits.

        The batch has `size` sequences with `used` tokens in total, and `longest` in the longest one. `most`
        tokens fit.
        """
        after = bisect_right(self._lengths, longest)
        above = self._first(after, 1)  # first, because the other search shifts the positions
        nearest = self._first(after - 1, -1)
        if nearest is None or (
            above is not None and (above.length - longest) * size < longest - nearest.length
        ):
            nearest = above
        if nearest is None:
            return None
        length, call = nearest.length, self.costs.call_tokens
        if self.costs.pads:
            padded = max(longest, length) * (size + 1)
            added = padded - longest * size - length  # padding, which must be worth saving a call
            is_worthwhile = padded <= most and added <= call
        else:
            is_similar = length <= max(longest, call, _MIXING * used / size)
            is_worthwhile = used + length <= most and is_similar
        return nearest if is_worthwhile else None

    def _first(self, index: int, step: int) -> Waiting | None:
        """The first waiting sequence of the length at `index`, or of the next one in the direction `step`."""
        while 0 <= index < len(self._lengths):
            length = self._lengths[index]
            queue = self._by_length[length]
            while queue and queue[0].is_gone:
                queue.popleft()
            if queue:
                return queue[0]
            del self._by_length[length], self._lengths[index]
            index += min(step, 0)
        return None

    def _take(self, item: Waiting) -> None:
        item.is_gone = True
        self.tokens -= item.length
        self.sequences -= 1
