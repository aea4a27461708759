"""The store: facts in SQL, bytes as content-addressed blobs."""
