"""Hold a date's lists against the gates, and make them the live ones."""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("publish", description=__doc__))
