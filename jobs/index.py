"""Number the new users and items, and count each user's events with each item.

Reads `events`; appends to `users` and `items`, replaces the date's slice of `interactions`.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("index", description=__doc__))
