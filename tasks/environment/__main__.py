"""The report of `pixtrack check` for a machine with few packages installed.

    python -m pixtrack.tasks.environment --json [--model M]

Needs psutil, pydantic and PyYAML (and nvidia-ml-py where there are NVIDIA cards); not Prefect,
MLflow or rich.
"""

from __future__ import annotations

import argparse
import json
import sys

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import home
from pixtrack.tasks.environment import check_machine, find_model, worst


def main() -> int:
    """Prints the report; exit code 1 where a check failed."""
    parser = argparse.ArgumentParser(
        prog="python -m pixtrack.tasks.environment", description=__doc__
    )
    parser.add_argument("--model", help="also: does this model fit here?")
    parser.add_argument("--json", action="store_true", help="a JSON list of checks")
    arguments = parser.parse_args()
    try:
        model = find_model(arguments.model) if arguments.model else None
        checks = check_machine(home(), model)
    except UserError as error:
        print(f"pixtrack: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps([check.model_dump() for check in checks], indent=2))
    else:
        for check in checks:
            print(f"{check.status:7}  {check.name:20}  {check.detail}")
            if check.remedy:
                print(f"{'':31}-> {check.remedy}")
    return 1 if worst(checks) == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
