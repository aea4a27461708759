"""Edge 2: what is remembered. SQL for facts, content-addressed blobs for bytes."""
