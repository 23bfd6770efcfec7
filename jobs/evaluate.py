"""Measure the date's models beside popularity and chance, on the events held out from training.

Reads `models`, `items`, `interactions`, `user_features`, `item_features`, `train_examples`, `eval_examples`;
replaces the measured models' rows of the date in `metrics`, and prints them side by side.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("evaluate", description=__doc__))
