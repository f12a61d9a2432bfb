"""The steps of an evaluation, one package each; `tasks.records` has what passes between them."""
