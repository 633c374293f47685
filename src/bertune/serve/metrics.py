"""The Prometheus metrics of the service."""

import threading
from collections import Counter as Counts
from collections.abc import Iterable
from functools import cache, partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bertune.metrics.decisions import REVIEW
from bertune.serve.batcher import Batcher, ComputedBatch
from bertune.serve.bookkeeping import Bookkeeping
from bertune.serve.drift import Drift

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1)
_LABELS = ("model", "data")
_DATA = "data=served: recent requests; data=training: the validation data of the training run"
# The means of a drift profile, by their names there.
_MEANS = {
    "confidence": "Mean probability of the predicted label, span, answer or choice",
    "value": "Mean predicted number",
    "tokens_per_row": "Mean number of tokens of a row",
    "unknown_token_share": "Mean share of unknown tokens in a row",
}


class Metrics:
    """The metrics of one service, in a separate registry.

    What requests leave to `bookkeeping` is missing until it is settled.
    """

    def __init__(self) -> None:
        self.bookkeeping = Bookkeeping()
        # The time at which each counter was created is not needed here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        self._drift = _DriftMetrics()
        registry.register(self._drift)
        self._requests = Counter(
            "bertune_requests", "Answered requests; 499: the client disconnected", ("endpoint", "status"),
            registry=registry,
        )  # fmt: skip
        self._latency = Histogram(
            "bertune_request_seconds", "From the arrival of a request to the end of its response",
            ("endpoint",), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "bertune_refused_requests", "Refused and failed requests, by the kind of error", ("kind",),
            registry=registry,
        )  # fmt: skip
        self._rows = Counter("bertune_rows", "Predicted rows, such as texts", ("model",), registry=registry)
        self._decisions = Counter(
            "bertune_decisions", "Predicted rows by decision: answer or review",
            ("model", "decision"), registry=registry,
        )  # fmt: skip
        self._review_share = Gauge(
            "bertune_review_share", "Share of predicted rows that were marked for review", ("model",),
            registry=registry,
        )  # fmt: skip
        # `labels` converts and validates its arguments on every call.
        self._requests_of = cache(self._requests.labels)
        self._latency_of = cache(self._latency.labels)
        self._rows_of = cache(self._rows.labels)
        self._decided: dict[str, Counts[str]] = {}
        self._lock = threading.Lock()
        self._tokens = Counter("bertune_tokens", "Computed tokens", ("model",), registry=registry)
        self._padded = Counter(
            "bertune_padded_tokens", "Computed tokens if every sequence of a batch is padded to the longest",
            ("model",), registry=registry,
        )  # fmt: skip
        self._waited = Histogram(
            "bertune_queue_seconds", "Time that a sequence waited for its batch", ("model",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "bertune_batch_seconds", "Computation of a batch", ("model",), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._batch_size = Histogram(
            "bertune_batch_sequences", "Sequences in a batch", ("model",), buckets=_SIZES, registry=registry
        )
        self._batch_fill = Histogram(
            "bertune_batch_fill", "Padded tokens of a batch as a share of the largest batch", ("model",),
            buckets=_SHARES, registry=registry,
        )  # fmt: skip
        self._queued = Gauge(
            "bertune_queued_sequences", "Sequences in the queue", ("model",), registry=registry
        )
        self._queued_tokens = Gauge(
            "bertune_queued_tokens", "Tokens in the queue", ("model",), registry=registry
        )

    def watch(self, name: str, batcher: Batcher, drift: Drift) -> None:
        """Report the queue, the batches and the drift of a model."""
        self._queued.labels(name).set_function(lambda: batcher.queued_sequences)
        self._queued_tokens.labels(name).set_function(lambda: batcher.queued_tokens)
        self._drift.models[name] = drift
        tokens, padded = self._tokens.labels(name), self._padded.labels(name)
        waited, seconds = self._waited.labels(name), self._batch_seconds.labels(name)
        size, fill = self._batch_size.labels(name), self._batch_fill.labels(name)

        def record(batch: ComputedBatch) -> None:
            tokens.inc(batch.tokens)
            padded.inc(batch.padded_tokens)
            seconds.observe(batch.seconds)
            size.observe(batch.sequences)
            fill.observe(batch.padded_tokens / batcher.max_batch_tokens)
            for value in batch.waited:
                waited.observe(value)

        batcher.on_batch = lambda batch: self.bookkeeping.add(partial(record, batch))

    def predicted(self, name: str, rows: int) -> None:
        """Count predicted rows."""
        self._rows_of(name).inc(rows)

    def decided(self, name: str, decisions: Iterable[str]) -> None:
        """Count the decisions about predicted rows."""
        new = Counts(decisions)
        if not new:
            return
        with self._lock:
            counts = self._decided.setdefault(name, Counts())
            counts.update(new)
            self._review_share.labels(name).set(counts[REVIEW] / counts.total())
        for decision, count in new.items():
            self._decisions.labels(name, decision).inc(count)

    def refused(self, kind: str) -> None:
        """Count a refused or failed request."""
        self._refused.labels(kind).inc()

    def handled(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answered request. `endpoint` is the template of its path."""
        self._requests_of(endpoint, status).inc()
        self._latency_of(endpoint).observe(seconds)

    def page(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _DriftMetrics(Collector):
    """The drift of all models, computed when the metrics are read."""

    def __init__(self) -> None:
        self.models: dict[str, Drift] = {}

    def collect(self) -> Iterable[Metric]:
        shares = GaugeMetricFamily(
            "bertune_label_share",
            f"Share of predictions with this label. {_DATA}",
            labels=(*_LABELS, "label"),
        )
        means = {
            name: GaugeMetricFamily(f"bertune_{name}", f"{text}. {_DATA}", labels=_LABELS)
            for name, text in _MEANS.items()
        }
        for model, drift in self.models.items():
            for data, profile in (("served", drift.served), ("training", drift.reference)):
                if profile is None:
                    continue
                for label, share in profile.frequent_labels.items():
                    shares.add_metric((model, data, label), share)
                for name, value in profile.means.items():
                    means[name].add_metric((model, data), value)
        yield from (shares, *means.values())
