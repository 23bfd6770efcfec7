"""Forget people: remove them from every table with its history, from artifacts and from MLflow, and keep them out.

Reads and rewrites every table that holds users; writes `suppressed`, `forgotten`, `broken_runs` and a certificate. Earlier
versions of those tables are gone afterwards. Run nothing else on the root meanwhile. An id that no table holds is exit
code 2, and nothing is changed. Killed, it is run again with the same ids. See docs/forgetting.md. For example:

  spark-submit jobs/forget.py --root ROOT --user-id 17 --user-id 42
  spark-submit jobs/forget.py --root ROOT --table /path/to/requests --column user_id
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("forget", description=__doc__))
