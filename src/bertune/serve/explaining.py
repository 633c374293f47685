"""Explanations of single predictions, by the contributions of words: one at a time, in separate threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bertune.predict.explaining import Explanation, explain
from bertune.predict.model import Model
from bertune.predict.predictor import ReadableRows
from bertune.serve.refusals import Overloaded, Unavailable
from bertune.tasks import Output
from bertune.tasks.explained import Target

if TYPE_CHECKING:
    from bertune.serve.service import ServedModel

# The computation per token, relative to that of a prediction: 16 points, whose gradients take twice as long
# as their outputs.
_EFFORT = 48


class _Stopped(Exception):
    """The explanation is no longer wanted."""


class Explanations:
    """Explains predictions of all models of a service, within the limits of requests."""

    def __init__(self) -> None:
        # Predictions then share the machine with one explanation at most.
        self._one_at_a_time = asyncio.Lock()
        self._closing = threading.Event()
        self._waiting_tokens = 0  # tokens of queued and running explanations, times _EFFORT

    async def explain(self, served: "ServedModel", row: Any, target: Target, truncate: bool) -> Explanation:
        """Explain the prediction of a row, as `predict.explaining.explain` does.

        Raises Invalid, TooLarge, Overloaded, Unavailable and DataError.
        """
        limit = served.config.timeout
        stop = threading.Event()
        try:
            async with asyncio.timeout(limit):
                read = await served.read([row], truncate)
                outputs = await served.batcher.compute(read.sequences)
                return await self._explain(served, read, outputs, target, stop)
        except TimeoutError as error:
            raise Unavailable(
                f"not explained within {limit:g} seconds (serve.timeout). Shorten the text, or try later"
            ) from error
        finally:
            stop.set()

    def close(self) -> None:
        """Stop after the micro-batch that is being computed."""
        self._closing.set()

    async def _explain(
        self,
        served: "ServedModel",
        read: ReadableRows,
        outputs: list[Output],
        target: Target,
        stop: threading.Event,
    ) -> Explanation:
        tokens = _EFFORT * sum(map(len, read.sequences))
        most = served.config.max_queued_tokens
        if self._waiting_tokens and self._waiting_tokens + tokens > most:
            raise Overloaded("too many explanations are waiting. Try again later", 1)

        def poll() -> None:
            if stop.is_set() or self._closing.is_set():
                raise _Stopped

        def work(model: Model) -> Explanation:
            poll()
            return explain(model, read, outputs, target, poll)

        self._waiting_tokens += tokens
        try:
            async with self._one_at_a_time:
                # A thread for each explanation, because OpenMP is slower in all threads while another thread
                # that has used torch is alive.
                thread = ThreadPoolExecutor(1, thread_name_prefix="bertune-explain")
                try:
                    return await asyncio.get_running_loop().run_in_executor(thread, work, served.model)
                finally:
                    thread.shutdown(wait=False)
        except _Stopped as error:
            raise Unavailable("the service is stopping") from error
        finally:
            self._waiting_tokens -= tokens
