"""`python -m pixtrack`: the same as the command `pixtrack`."""

from pixtrack.flows.cli.main import main

main()
