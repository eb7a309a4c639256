"""The console script ``edge``, and ``python -m edge``."""

from edge.interrupts import end_on_interrupt


def main() -> None:
    """Import the commands and run one."""
    end_on_interrupt()
    from edge.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
