"""Help texts of the arguments and options that several commands on runs share."""

from __future__ import annotations

RUN_HELP = "A run's name, MLflow id, fingerprint (6+ characters), model@dataset, latest, or a path."
JSON_HELP = "Print JSON and nothing else."
