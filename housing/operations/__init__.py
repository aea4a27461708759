"""What runs beside the pipeline: monitor, backup, doctor, prune, export, comparison, labels."""
