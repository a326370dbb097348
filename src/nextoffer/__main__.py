"""``python -m nextoffer`` is ``nextoffer``."""

from nextoffer.cli.app import main

if __name__ == "__main__":
    main()
