"""An A/B test, from its size to its verdict: design, assign, analyse; and simulate, on made events.

design reads `events` and enters the experiment in `experiments`, with the users and days that it takes. assign reads `users` and
adds those whose turn it is to `assignments`; in layer `lists` each gets the published lists of the variant (view
`assigned_recommendations`). analyse reads `exposures`, which the shop writes, and `events`, and writes `experiment_results`,
`experiment_verdicts` and a page below the root. simulate writes `exposures`, and purchases into `events`, where all events are
made. For example:

  spark-submit jobs/experiment.py design --config conf/experiments/checkout.yaml --root .data/shop
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("experiment", description=__doc__))
