"""Edge 3: the prediction API and its pages, which follow the promotion log without a restart."""
