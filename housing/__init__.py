"""The domain library: a retraining run, without an orchestrator."""
