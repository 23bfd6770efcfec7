"""Look for people in all that the root holds: files of tables, also those of no version; logs; text; artifacts; MLflow.

Changes nothing. Without ids it looks for everyone on the suppression list. Exit code 2, and where, if anything holds one of
them. For example:

  spark-submit jobs/check_forgotten.py --root ROOT --user-id 17
  spark-submit jobs/check_forgotten.py --root ROOT
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("check_forgotten", description=__doc__))
