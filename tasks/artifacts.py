"""A night's report in the UI: verdict, table of the models, pictures, and a link to the page."""

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

from housing.pipeline.report import WrittenReport
from housing.report.artifacts import models_table, pictures


def show(written: WrittenReport) -> None:
    """Put all parts there that the night got to."""
    link = address(written)
    text = written.summary if link is None else f"{written.summary}\n[The full report]({link})\n"
    create_markdown_artifact(key="verdict", markdown=text, description=written.result.message)
    if link is not None:
        create_link_artifact(
            key="report", link=link, link_text="The full report", description="With all figures."
        )
    if table := models_table(written.report):
        create_table_artifact(
            key="models", table=table, description="Both models on tonight's test set."
        )
    if written.card:
        create_markdown_artifact(
            key="model-card", markdown=written.card, description="The challenger, for people."
        )
    for picture in pictures(written.report):
        create_image_artifact(
            key=picture.key, image_url=picture.data_uri, description=picture.title
        )


def address(written: WrittenReport) -> str | None:
    """Where a browser that shows the UI finds the page; None where there is no UI."""
    base = PREFECT_UI_URL.value() or (PREFECT_API_URL.value() or "").removesuffix("/api")
    return f"{base}/reports/night-r{written.result.run}.html" if base else None
