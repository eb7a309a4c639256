"""The console script ``camera-demo-send``, and ``python -m camera_demo.sending``."""

from edge.interrupts import end_on_interrupt


def main() -> None:
    """Import the command and run it."""
    end_on_interrupt()
    from camera_demo.sending.cli import main as run

    run()


if __name__ == "__main__":
    main()
