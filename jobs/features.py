"""What is known of each user and item at the cut, and each user's latest events in order.

Reads `events`, `users`, `items`, `user_attributes`; replaces the date's slices of `user_features`, `item_features` and
`sequences`.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("features", description=__doc__))
