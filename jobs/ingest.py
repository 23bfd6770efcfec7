"""Read events from files, and what they tell of users and items.

Appends to `events` what it does not hold yet, keeps bad rows with their reasons in `events_rejected`, and
brings `user_attributes` and `item_attributes` up to date. The same files again add nothing. docs/data.md lists
the formats. For example:

  spark-submit jobs/ingest.py --config conf/ml-1m.yaml --set ingest.path=downloads/ml-1m
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("ingest", description=__doc__))
