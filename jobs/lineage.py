"""Follow a published row, or a run, back to the versions of the events: which runs wrote what it leans on.

Reads `recommendations_current` (with --as-of, `recommendations`), `models`, `runs`; writes nothing. Without a user and
without a run it says the lineage of the published lists. For example:

  spark-submit jobs/lineage.py --config conf/complete-journey.yaml --user-id 1 --rank 1
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("lineage", description=__doc__))
