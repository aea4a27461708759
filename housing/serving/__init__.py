"""Edge 3: the prediction API and its pages, which follow the ledger without a restart."""
