"""The steps of an evaluation, one package each; what passes between them is in `pixtrack.tasks.records`."""
