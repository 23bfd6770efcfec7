"""How the published lists fare: what people did with them, how old they are, how far data and scores have drifted.

Reads `recommendations`, `events`, `item_attributes`, `models`, `gate_results`, `runs`, and earlier days of `monitoring`, of
which it replaces the date's slice; writes a page below the root, reports/monitoring/DATE/VARIANT.html. Exits with 3 where a
figure is out of the bounds that its history gives. For a day that is over, and for days long past, oldest first:

  spark-submit jobs/monitor.py --config conf/complete-journey.yaml --as-of 2017-12-23
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("monitor", description=__doc__))
