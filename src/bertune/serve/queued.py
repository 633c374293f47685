"""A backend whose sequences wait in the queue of a served model, a few at a time, like those of requests."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf

from bertune.predict.backend import Backend, BackendOutputs, Poll, Runtime, never_stop
from bertune.serve.batcher import Batcher
from bertune.serve.refusals import Overloaded
from bertune.tasks import Output
from bertune.text.sequences import Sequence

_LONGEST_PAUSE = 2.0  # seconds between attempts while the queue is full
_PATIENCE = 0.1  # seconds between calls of `poll`


class QueuedBackend:
    """Computes sequences with the batcher of a served model. It is called in a thread outside the event loop.

    Sequences are queued in small pieces, each after the previous one was computed, so that a large file never
    fills the queue. The batcher prefers small requests, so they wait for the current batch only.
    """

    def __init__(
        self,
        backend: Backend,
        batcher: Batcher,
        loop: asyncio.AbstractEventLoop,
        poll: Poll,
        on_examples: Callable[[int], None],
    ) -> None:
        """`poll` may raise an exception to stop; `on_examples` gets the number of newly computed examples."""
        self._backend = backend
        self._batcher = batcher
        self._loop = loop
        self._poll = poll
        self._on_examples = on_examples

    @property
    def runtime(self) -> Runtime:
        """The library that runs the network."""
        return self._backend.runtime

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences. Raises the errors of the backend, and whatever the polls raise."""
        outputs: dict[int, Output] = {}
        # When the model has finished a batch, the next is ready.
        most_tokens = (self._batcher.calls + 1) * self._batcher.max_batch_tokens
        for piece in pieces(sequences, most_tokens):
            poll()
            computed = self._computed([sequences[position] for position in piece])
            outputs |= zip(piece, computed, strict=True)
            self._on_examples(len({sequences[position].group for position in piece}))
        return BackendOutputs([outputs[position] for position in range(len(sequences))])

    def _computed(self, sequences: list[Sequence]) -> list[Output]:
        self._poll()
        future = asyncio.run_coroutine_threadsafe(self._compute(sequences), self._loop)
        try:
            while True:
                try:
                    return future.result(_PATIENCE)
                except concurrent.futures.TimeoutError:
                    self._poll()
        finally:
            future.cancel()  # has no effect once it is done

    async def _compute(self, sequences: list[Sequence]) -> list[Output]:
        while True:
            try:
                return await self._batcher.compute(sequences)
            except Overloaded as refusal:
                await asyncio.sleep(min(_LONGEST_PAUSE, refusal.retry_after))


def pieces(sequences: SequenceOf[Sequence], most_tokens: int) -> Iterator[list[int]]:
    """Positions of sequences in pieces of at most `most_tokens`, or a single example; examples stay together.

    Examples of similar length are in the same piece.
    """
    examples: dict[int, list[int]] = {}
    for position, sequence in enumerate(sequences):
        examples.setdefault(sequence.group, []).append(position)
    tokens = {group: sum(len(sequences[p]) for p in positions) for group, positions in examples.items()}
    piece: list[int] = []
    used = 0
    for group in sorted(examples, key=tokens.__getitem__):
        if piece and used + tokens[group] > most_tokens:
            yield piece
            piece, used = [], 0
        piece += examples[group]
        used += tokens[group]
    if piece:
        yield piece
