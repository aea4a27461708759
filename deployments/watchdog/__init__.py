"""The watchdog: missed runs, runs whose process died, alerts for failed runs."""
