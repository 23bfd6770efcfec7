"""Make events of any size to try the other jobs on: long tails, sessions, seasons, drift, hidden tastes.

Writes `events` (replaces those it made before, leaves all others), `user_attributes` and `item_attributes`.
The same seed and settings make the same rows, on any number of machines. A night on made events:

  spark-submit jobs/generate.py --config conf/generated.yaml --set generate.events=1000000
  spark-submit jobs/index.py    --config conf/generated.yaml
  ...                           features, examples, train, evaluate, recommend likewise

The keys under `generate`, each explained in conf/default.yaml (--print-config shows what a run would use):

  size        users, items, events, days, end; partitions: one for each million events is a good number
  long tails  user_exponent, item_exponent
  tastes      factors, candidates, taste, mood, position_bias
  repeats     session_events, purchase_share, repeat_share
  change      growth, drift, new_user_share, new_item_share
  a break     drift_day, drift_strength: for monitoring to find
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("generate", description=__doc__))
