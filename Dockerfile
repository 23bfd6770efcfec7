# What each image holds is made by scripts/image.sh, which the tests run, too. docker-compose.yaml puts them together.
#   docker build -t recsys-spark .                         the jobs, on one machine: the last stage
#   docker build --target serve -t recsys-serve .          the service alone: no Spark, no TensorFlow, no Java
#   docker build --target kubernetes -t recsys-pods .      driver and executors that Spark starts as pods: see deploy/kubernetes
FROM python:3.11.11-slim-bookworm AS serve-build
WORKDIR /build
COPY setup.py pyproject.toml requirements.lock README.md ./
COPY scripts/image.sh scripts/
COPY conf conf
COPY recsys_spark recsys_spark
RUN PIP_NO_CACHE_DIR=1 scripts/image.sh serve /opt/recsys

FROM python:3.11.11-slim-bookworm AS serve
RUN useradd --create-home --uid 10001 recsys \
    && install --directory --owner recsys /data /data/root /data/feedback
COPY --from=serve-build /opt/recsys /opt/recsys
ENV PATH="/opt/recsys/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["recsys-serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--root", "/data/root"]

FROM python:3.11.11-slim-bookworm AS app
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Versions are not pinned: Debian's mirrors keep only the newest of a release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential cmake openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/*

# WORKDIR by itself would make folders that belong to root.
RUN useradd --create-home --uid 10001 recsys \
    && install --directory --owner recsys /home/recsys/app /home/recsys/work /data /data/root /data/feedback
USER 10001
WORKDIR /home/recsys/app

# What set-up reads comes first, so that a change of the code does not build Horovod again.
COPY --chown=recsys Makefile pyproject.toml requirements.lock setup.py ./
COPY --chown=recsys scripts scripts
COPY --chown=recsys recsys_spark/__init__.py recsys_spark/install_horovod.py recsys_spark/
ENV RECSYS_EXTRAS=cpu,serve,postgres,demo PIP_NO_CACHE_DIR=1 PATH="/home/recsys/app/.venv/bin:$PATH"
RUN scripts/image.sh jobs

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
