"""The console script ``edge-convert``, and ``python -m convert``."""

from edge.interrupts import end_on_interrupt


def main() -> None:
    """Import the commands and run one."""
    end_on_interrupt()
    from convert.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
