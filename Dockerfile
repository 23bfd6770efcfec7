# The recommender on one machine, set up by the same script as a checkout.
#   docker build -t recsys-spark .
#   docker run --rm -v recsys-data:/home/recsys/app/.data recsys-spark
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential cmake openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home recsys
USER recsys
WORKDIR /home/recsys/app

# What set-up reads comes first, so that a change of the code does not build Horovod again.
COPY --chown=recsys Makefile pyproject.toml requirements.lock setup.py ./
COPY --chown=recsys scripts scripts
COPY --chown=recsys recsys_spark/__init__.py recsys_spark/install_horovod.py recsys_spark/
RUN RECSYS_EXTRAS=cpu,serve,demo scripts/setup.sh && rm -rf ~/.cache
ENV RECSYS_EXTRAS=cpu,serve,demo PATH="/home/recsys/app/.venv/bin:$PATH"

COPY --chown=recsys . .
RUN mkdir -p .data
CMD ["make", "demo"]
