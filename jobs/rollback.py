"""Make an earlier date's lists the live ones again: --to DATE."""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("rollback", description=__doc__))
