"""Make an earlier date's lists the live ones again: --to DATE.

Reads that date's slice of `recommendations`, replaces the variant's rows of `recommendations_current`, and adds a row to
`gate_results`.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("rollback", description=__doc__))
