"""``python -m muscletransfer`` is the same as ``muscletransfer``."""

from muscletransfer.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
