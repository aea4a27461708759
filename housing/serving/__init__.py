"""The prediction API and its pages; they load each new champion without a restart."""
