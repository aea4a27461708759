"""What a scraper reads of the server, over all its workers.

With several workers prometheus_client keeps the numbers in files that they share; whoever starts
them names the folder (PROMETHEUS_MULTIPROC_DIR). Not here: what is worth an alarm.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Seconds."""


class Metrics:
    """One worker's numbers, and the text of all workers'."""

    def __init__(self, paths: frozenset[str]) -> None:
        own = CollectorRegistry()
        self._own, self._paths = own, paths
        self.requests = Counter(
            "housing_requests", "Requests answered", ["path", "status"], registry=own
        )
        self.seconds = Histogram(
            "housing_request_seconds", "From header to last byte", ["path"],
            buckets=BUCKETS, registry=own,
        )  # fmt: skip
        self.districts = Counter(
            "housing_districts", "Districts predicted", ["model"], registry=own
        )
        self.extrapolated = Counter(
            "housing_extrapolated", "Of these, unlike any training district", registry=own
        )
        self.rejected = Counter("housing_rejected", "Districts that broke a rule", registry=own)
        self.model = Gauge(
            "housing_model", "Number of the model that answers",
            multiprocess_mode="livemostrecent", registry=own,
        )  # fmt: skip
        self.ledger = Gauge(
            "housing_ledger_line", "Line of the ledger that is in force",
            multiprocess_mode="livemin", registry=own,
        )  # fmt: skip
        self.reload_failed = Gauge(
            "housing_reload_failed", "1 while the ledger's champion cannot be served",
            multiprocess_mode="livemax", registry=own,
        )  # fmt: skip
        self.log_dropped = Counter(
            "housing_log_dropped", "Answers that the prediction log had no room for", registry=own
        )

    def observe(self, _method: str, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that there are not go together, or a scanner would fill memory."""
        known = path if path in self._paths else "other"
        self.requests.labels(known, str(status)).inc()
        self.seconds.labels(known).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        if ValueClass is MutexValue:
            return generate_latest(self._own)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
