"""Progress of long steps as an artifact in the UI."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from housing import progress


@contextmanager
def shown_in_ui(shown: str) -> Iterator[None]:
    """Show what the step `shown` reports while the block runs, in percent."""
    artifact = create_progress_artifact(
        progress=0.0, key=f"{shown}-progress", description=f"{shown}: about to begin"
    )

    def update(step: str, done: int, total: int, message: str) -> None:
        if step == shown and total:
            update_progress_artifact(
                artifact_id=artifact,  # type: ignore[arg-type]
                progress=round(100.0 * done / total, 1),  # the page shows it as it is
                description=f"{step}: {done} of {total}. {message}",
            )

    with progress.heard_by(update):
        yield
