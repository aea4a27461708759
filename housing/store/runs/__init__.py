"""Runs, the lease, logged predictions, monitor windows and sent alerts."""
