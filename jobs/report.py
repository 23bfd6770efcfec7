"""Look at a trained model: losses and metrics by epoch, scores as predictions, where it fails, which items lie near each other.

Reads `models`, the model's artifact, and for an evaluate fit the held-out events of `eval_examples`; replaces the model's slice
of `training_report`, and writes below the root under reports/training/MODEL_VERSION one page, index.html, with its pictures,
and files for TensorFlow's embedding projector; all of it also to the training's run in MLflow. For example, after train:

  spark-submit jobs/report.py --config conf/complete-journey.yaml
"""

import sys

from recsys_spark.cli import main

if __name__ == "__main__":
    sys.exit(main("report", description=__doc__))
