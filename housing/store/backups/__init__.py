"""Backup snapshots, verified copies of blobs and the dump of tables."""
