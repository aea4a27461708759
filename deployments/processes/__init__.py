"""The processes of an installation: Prefect server, worker, prediction API and their supervisor."""
