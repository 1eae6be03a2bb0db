"""``python -m oco2_outliers``: the command line without the console script."""

import sys

from oco2_outliers.cli import main

if __name__ == "__main__":
    sys.exit(main())
