"""Models, promotion log, blocks, approvals, searches, artifacts and retention."""
