"""Stored bytes: durable files, blobs, encryption, signatures and deletion."""
