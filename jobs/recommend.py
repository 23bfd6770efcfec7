"""Score the catalogue for every eligible user and publish their top-N.

Reads `models`, `users`, `items`, `interactions`, `user_features`, `item_features`; replaces the date's slice of
`recommendations`, then `recommendations_current`.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("recommend", description=__doc__))
