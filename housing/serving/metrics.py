"""Prometheus metrics of the prediction API, over all its workers.

With several workers prometheus_client shares the numbers through files in the folder
PROMETHEUS_MULTIPROC_DIR, which the parent process sets.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Buckets of the latency histogram."""


class ServiceMetrics:
    """The metrics of one worker, and the text of all workers' metrics."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._own, self._paths = CollectorRegistry(), paths

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"housing_{name}", text, labels, registry=self._own)

        def gauge(name: str, text: str, mode: str) -> Gauge:
            return Gauge(
                f"housing_{name}", text,
                multiprocess_mode=mode,  # type: ignore[arg-type]
                registry=self._own,
            )  # fmt: skip

        self.requests = counter("requests", "Requests answered", "path", "status")
        self.seconds = Histogram(
            "housing_request_seconds", "From header to last byte", ["path"],
            buckets=SECONDS, registry=self._own,
        )  # fmt: skip
        self.rows = counter("rows", "Rows predicted", "model")
        self.extrapolated = counter("extrapolated", "Of these, unlike any training row")
        self.rejected = counter("rejected", "Invalid rows")
        self.log_dropped = counter("log_dropped", "Predictions that the full log dropped")
        self.model = gauge("model", "Number of the model in use", "livemostrecent")
        self.promotion = gauge("promotion", "Number of the promotion in use", "livemin")
        self.reload_failed = gauge(
            "reload_failed", "1 while the champion cannot be loaded", "livemax"
        )
        self.shadow_failed = gauge(
            "shadow_failed", "1 while the shadow cannot be loaded", "livemax"
        )

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count a request; unknown paths count as one, or a scanner would fill the memory."""
        known = path if path in self._paths else "other"
        self.requests.labels(known, str(status)).inc()
        self.seconds.labels(known).observe(seconds)

    def text(self) -> bytes:
        """All workers' metrics in the Prometheus text format."""
        if ValueClass is MutexValue:
            return generate_latest(self._own)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
