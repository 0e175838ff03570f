"""Where the command `workshop`, and `python -m workshop_lib`, begin: Ctrl-C ends them from the first import on."""

import sys


def main() -> None:
    """Load and run the command line; Ctrl-C meanwhile exits with 130 and says nothing."""
    try:
        from workshop_lib.cli import main as run  # here, so that its imports, most of a command's start, are within the try

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 makes this of a Ctrl-C that it meets while it builds a class
            sys.exit(130)
        raise


if __name__ == "__main__":
    main()
