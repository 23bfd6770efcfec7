"""Score the catalogue, or candidates, for every eligible user: their top-N.

Reads `models`, `users`, `items`, `interactions`, `user_features`, `item_features`; replaces the date's slice of
`recommendations`, and of `candidates` where it is kept. jobs/publish.py makes them the live lists.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("recommend", description=__doc__))
