"""Operations outside the pipeline: monitor, backup, doctor, prune, export, comparison, labels."""
