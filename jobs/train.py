"""Train the configured model: the evaluate fit, early-stopped on validation, then the production fit with its epochs.

Reads pinned versions of `train_examples` and `eval_examples`; writes an artifact a fit and adds its row to `models`.
With `--set training.find_rate=true` it trains nothing, but tries learning rates and suggests one.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("train", description=__doc__))
