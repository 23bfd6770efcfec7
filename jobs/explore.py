"""Look at the data before a model does: who acts on what, when, how often, and what is missing.

Reads `events`, `user_attributes`, `item_attributes`, `events_rejected`; replaces the date's slice of `exploration`, and writes
one page, index.html, with its pictures below the root under reports/explore/DATE. For example, after ingest:

  spark-submit jobs/explore.py --config conf/complete-journey.yaml
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("explore", description=__doc__))
