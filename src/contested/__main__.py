"""``python -m contested`` and the ``contested`` command."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C ends it quietly, also while it starts."""
    try:
        from contested.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("contested: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
