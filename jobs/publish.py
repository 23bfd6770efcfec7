"""Hold a date's lists against the gates, and make them the live ones.

Reads `recommendations`, `recommendations_current`, `metrics`, `models`, `events`, `runs`; appends to `gate_results`, and
replaces the variant's rows of `recommendations_current` in one commit. Exits with 3 where a gate stops the lists.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("publish", description=__doc__))
