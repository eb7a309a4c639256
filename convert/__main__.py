"""``python -m convert``."""

from convert.cli.app import main

main()
