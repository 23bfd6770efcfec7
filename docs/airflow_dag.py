"""The night as an Airflow DAG, for the day that has just ended: the pipeline up to the lists, then publishing.

Put this file into Airflow's folder of DAGs, with the provider `apache-airflow-providers-apache-spark`, a connection
`spark_default` to the cluster, and the checkout at PROJECT on the machine that submits. A failed pipeline is tried again, and
goes on after its last whole stage; a mistake of the user's (exit code 2) and a gate that stopped publishing (3) are not.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from airflow import DAG
from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.timetables.interval import CronDataIntervalTimetable

PROJECT = "/opt/recsys"
ARGUMENTS = [
    *("--config", f"{PROJECT}/conf/events.yaml", "--root", "s3a://bucket/recsys"),
    *("--as-of", "{{ data_interval_start | ds }}"),  # the day before the one it runs on
    *("--set", "ingest.path=s3a://bucket/events/", "--set", "training.ranks=4"),
    *("--set", "storage.tracking_uri=http://mlflow.example.com"),
]
FINAL = re.compile(r"Error code is: [23]\b")  # spark-submit's exit code, as the operator's hook words it


class Job(SparkSubmitOperator):
    """A job whose exit code says whether trying again can help."""

    def execute(self, context: Any) -> None:
        try:
            super().execute(context)
        except AirflowException as error:
            if FINAL.search(str(error)):
                raise AirflowFailException(str(error)) from error
            raise


with DAG(
    dag_id="recsys_nightly",
    schedule=CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=True,  # a day that was missed is made up for, with the events known by then
    max_active_runs=1,
    default_args={"conf": {"spark.executor.instances": "4", "spark.dynamicAllocation.enabled": "false"}},
):
    lists = Job(
        task_id="lists",
        application=f"{PROJECT}/jobs/pipeline.py",
        application_args=["--until", "recommend", *ARGUMENTS],
        retries=2,
        retry_delay=timedelta(
            minutes=15
        ),  # more than run.lease_seconds: a lease that a killed run holds is free by then
    )
    publish = Job(task_id="publish", application=f"{PROJECT}/jobs/publish.py", application_args=ARGUMENTS, retries=0)
    lists >> publish
