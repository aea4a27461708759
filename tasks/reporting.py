"""What a run shows in Prefect: events, progress, and the parts of its report as artifacts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event

from housing import progress
from housing.notify import Message
from housing.pipeline.report import WrittenReport
from housing.report.artifacts import models_table, pictures
from housing.report.family_table import as_rows, by_family, preprocessing_table
from housing.settings import load_settings
from housing.store.objects.pages import page_storage

REPORTS = "/reports"
"""Address of the folder of reports below that of the UI, or of HOUSING_REPORT_URL."""


def emit(*messages: Message | None) -> None:
    """Emit messages as Prefect events; skips None and events that have no name in Prefect."""
    for message in messages:
        if message is not None and message.event.feed_name:
            emit_event(
                event=message.event.feed_name,
                resource={"prefect.resource.id": f"housing.{message.subject}"},
                payload={"text": message.text, "subject": message.subject},
            )


@contextmanager
def show_progress(shown: str) -> Iterator[None]:
    """Show the reported progress of the step `shown` as an artifact, in percent."""
    artifact = create_progress_artifact(
        progress=0.0, key=f"{shown}-progress", description=f"{shown}: starting"
    )

    def update(step: str, done: int, total: int, message: str) -> None:
        if step == shown and total:
            update_progress_artifact(
                artifact_id=artifact,  # type: ignore[arg-type]
                progress=round(100.0 * done / total, 1),  # the page does not round it
                description=f"{step}: {done} of {total}. {message}",
            )

    with progress.listening(update):
        yield
    update_progress_artifact(artifact_id=artifact, progress=100.0, description=f"{shown}: complete")  # type: ignore[arg-type]


def show_columns(columns: Sequence[Mapping[str, Any]]) -> None:
    """Show the columns that the model families compute."""
    if table := preprocessing_table(columns):
        create_table_artifact(
            key="preprocessing", table=table, description="The columns that models are fitted on."
        )


def show_report(written: WrittenReport) -> None:
    """Show the parts that the run produced: verdict, link, table, model card, pictures."""
    settings = load_settings()
    pages, reports = page_storage(settings), settings.report_url.rstrip("/") + REPORTS
    link = f"{reports}/{PurePath(written.report.location).name}"
    text = f"{written.summary}\n[The full report]({link})\n"
    create_markdown_artifact(key="verdict", markdown=text, description=written.result.message)
    create_link_artifact(
        key="report", link=link, link_text="The full report", description="With all figures."
    )
    if table := models_table(written.report):
        create_table_artifact(
            key="models", table=table, description="Both models on this run's test set."
        )
    figures = by_family(written.report.trials, written.report.comparison)
    if len(families := as_rows(figures, written.report.search_metric)) > 1:
        create_table_artifact(
            key="families", table=families, description="The best candidate of each model family."
        )
    if written.card:
        create_markdown_artifact(
            key="model-card", markdown=written.card, description="The challenger's model card."
        )
    for picture in pictures(written.report):
        name = f"r{written.result.run}-{picture.key}.svg"
        pages.write(name, picture.svg)
        create_image_artifact(
            key=picture.key, image_url=f"{reports}/{name}", description=picture.title
        )
