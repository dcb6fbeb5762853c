"""`python -m vdtoolkit` is the command `vdtoolkit`."""

import sys

from vdtoolkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
