"""The report of a run: an HTML page, a Markdown summary, plots, and the model card."""
