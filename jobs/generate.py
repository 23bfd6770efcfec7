"""Make events of any size, to try the other jobs on: long-tailed, in sessions, with seasons, drift and hidden tastes.

Writes `events` (replaces those it made before, leaves all others), `user_attributes` and `item_attributes`. The same
seed and settings make the same rows, on any number of machines. A night on made events:

  spark-submit jobs/generate.py --config conf/generated.yaml --set generate.events=1000000
  spark-submit jobs/index.py    --config conf/generated.yaml
  ...                           features, examples, train, evaluate, recommend likewise

What is made is set under `generate` (conf/default.yaml explains each key): sizes (users, items, events, days), the
long tails (user_exponent, item_exponent), tastes (factors, taste, mood, candidates), repeats (repeat_share,
purchase_share), change (growth, drift, new_user_share, new_item_share) and a planted break (drift_day,
drift_strength) for monitoring to find. For 10 million events and more give generate.partitions one task per million.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("generate", description=__doc__))
