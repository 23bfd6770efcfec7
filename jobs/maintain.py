"""Keep the tables small and readable: join small files, remove those that no run of the last days needs.

What runs within `maintain.keep_days` read or wrote stays readable, and so does what the live lists and their model stem
from. Removes artifacts, checkpoints and grown copies that nothing of that names; of what lists are made from, slices beyond
the newest `maintain.keep_slices` dates that neither live lists nor those models need; with `maintain.keep_dates`, old lists.
Below a catalogue it registers the views of docs/tables.md. No other job may run meanwhile with `maintain.least_hours` under
168. For example:

  spark-submit jobs/maintain.py --config conf/complete-journey.yaml --set maintain.dry_run=true
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("maintain", description=__doc__))
