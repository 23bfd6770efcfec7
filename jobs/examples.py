"""Draw negatives beside each positive, and the candidates that held-out items are ranked among.

Reads `interactions`; replaces the date's slices of `train_examples` and `eval_examples`.
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("examples", description=__doc__))
