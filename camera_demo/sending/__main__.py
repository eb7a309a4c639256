"""``python -m camera_demo.sending``."""

from camera_demo.sending.cli import main

if __name__ == "__main__":
    main()
