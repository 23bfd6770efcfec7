#!/bin/bash
# Cluster-scoped init script: the package and what it needs, beside the runtime's own Spark and Delta, on every node.
# RECSYS_DIST is the folder that the bundle uploads to.
set -euo pipefail
/databricks/python/bin/pip install --no-deps --requirement "$RECSYS_DIST/cluster.txt" "$RECSYS_DIST"/recsys_spark-*.whl
/databricks/python/bin/recsys-install-horovod
