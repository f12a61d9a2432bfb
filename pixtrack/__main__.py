"""The command `pixtrack`, and `python -m pixtrack`."""

import sys


def main() -> None:
    """The console command: imports what it needs, and takes Ctrl-C while it does."""
    try:
        from pixtrack.flows.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
