"""``python -m camera_demo``."""

from camera_demo.cli import main

if __name__ == "__main__":
    main()
