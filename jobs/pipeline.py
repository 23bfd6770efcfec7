"""Run the whole night in one Spark session: ingest, index, features, examples, train, evaluate, recommend, publish."""

import sys

from recsys_spark.cli import main
from recsys_spark.stages import PIPELINE

if __name__ == "__main__":
    sys.exit(main(*PIPELINE, description=__doc__))
