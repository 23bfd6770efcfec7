"""Measure models side by side: each on every data set, with every seed, by the stages that a night runs.

Prepares the data sets, draws examples, trains and evaluates, all below the root or where the data sets say; appends each
finished cell to `benchmark_cells`, and writes benchmark.md and benchmark.png below the root. Run again, it goes on with the
cells that are missing or failed. A failed cell does not stop the others; the exit code is 1 then. For example:

  spark-submit jobs/benchmark.py --config conf/benchmark-smoke.yaml
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("benchmark", description=__doc__))
