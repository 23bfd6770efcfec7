"""Search the settings with which the configured model does best on validation; the test split is never read.

Reads pinned versions of `train_examples` and `eval_examples`; adds a row a trial to `tune_trials` and writes the best
settings as YAML, for --config. Run again, it goes on to `tune.trials` trials in all. For example:

  spark-submit jobs/tune.py --config conf/ml-1m.yaml --config conf/tune-neumf.yaml --set tune.trials=40
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("tune", description=__doc__))
