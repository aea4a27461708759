"""The domain library: what a night of retraining means, without an orchestrator."""
