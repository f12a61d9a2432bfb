"""The steps of an evaluation, one package each; `tasks.records` has the data they exchange."""
