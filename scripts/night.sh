#!/usr/bin/env bash
# A night of a shop that serves: what the service was told comes in, where RECSYS_FEEDBACK names its folder, then all else.
#   RECSYS_FEEDBACK=/data/feedback scripts/night.sh --config conf/shop.yaml --root /data/root
# The arguments are those that jobs/ingest.py and jobs/pipeline.py both take; the exit code is that of what failed, or the pipeline's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -n "${RECSYS_FEEDBACK:-}" ]; then
    .venv/bin/spark-submit jobs/ingest.py "$@" --config conf/feedback.yaml --set "ingest.path=$RECSYS_FEEDBACK/*.jsonl"
fi
exec .venv/bin/spark-submit jobs/pipeline.py "$@"
