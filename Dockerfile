# The recommender, set up by the same script as a checkout. The last stage is for one machine:
#   docker build -t recsys-spark .
#   docker run --rm -v recsys-data:/home/recsys/app/.data recsys-spark
# and `--target kubernetes` is the image of driver and executors that Spark starts as pods: see deploy/kubernetes.
FROM python:3.11-slim-bookworm AS app
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Versions are not pinned: Debian's mirrors keep only the newest of a release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential cmake openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/*

# WORKDIR by itself would make folders that belong to root.
RUN useradd --create-home --uid 10001 recsys \
    && install --directory --owner recsys /home/recsys/app /home/recsys/work
USER recsys
WORKDIR /home/recsys/app

# What set-up reads comes first, so that a change of the code does not build Horovod again.
COPY --chown=recsys Makefile pyproject.toml requirements.lock setup.py ./
COPY --chown=recsys scripts scripts
COPY --chown=recsys recsys_spark/__init__.py recsys_spark/install_horovod.py recsys_spark/
RUN RECSYS_EXTRAS=cpu,serve,demo scripts/setup.sh && rm -rf ~/.cache
ENV RECSYS_EXTRAS=cpu,serve,demo PATH="/home/recsys/app/.venv/bin:$PATH"

COPY --chown=recsys . .

FROM app AS kubernetes
ENV SPARK_HOME=/home/recsys/app/.venv/lib/python3.11/site-packages/pyspark \
    PYSPARK_PYTHON=/home/recsys/app/.venv/bin/python
# Executors put what --py-files and --files bring into the folder that they start in.
WORKDIR /home/recsys/work
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "/home/recsys/app/deploy/kubernetes/entrypoint.sh"]

FROM app
RUN mkdir -p .data
CMD ["make", "demo"]
