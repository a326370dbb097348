"""Decides for every customer on Apache Spark, or on a server that speaks Spark Connect.

Spark computes features and rule facts with the very expressions that run on DuckDB, and hands its rows to
its workers, who decide and write the decisions. The driver looks at the structure of the tables; of their rows
it reads keys, and such tables as Spark might read otherwise (`nextoffer.tables.handover`). Bank and output lie where
driver and workers see them under the same path.
"""

from __future__ import annotations

import os
import sys
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from nextoffer.errors import NextOfferError
from nextoffer.features import columns_of, known_sql, mcc, profiling_sql
from nextoffer.features.rows import MCC_TABLE
from nextoffer.run.batch import COMPILE_FROM, Written
from nextoffer.run.decisions import refusals_path
from nextoffer.run.engine import Engine
from nextoffer.run.labels import customer_count
from nextoffer.run.namable import closed_columns
from nextoffer.run.parts import Scratch, Worker, scratch_beside
from nextoffer.tables.bank import Bank
from nextoffer.tables.handover import hand_over
from nextoffer.tables.translate import clean_tables, with_tables
from nextoffer.tables.write import write_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_UTC = "spark.sql.session.timeZone"
_TOLD = "name string, first {id}, customers long, decisions long, refusals long"
"""What a worker tells of the part it wrote."""

_LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "8",
}
"""How Spark runs on this machine alone: nobody else is to reach it, and a few partitions are enough."""


def recommend_on_spark(
    engine: Engine,
    bank: Bank,
    out: Path,
    *,
    refusals: Path | None = None,
    as_of: date | None = None,
    master: str | SparkSession | None = None,
) -> Written:
    """Decide for every customer on Spark and write two folders of Parquet parts, which appear when both are whole.

    Parameters
    ----------
    engine, bank
        As for `nextoffer.run.batch.recommend_to_files`.
    out, refusals
        Folders for decisions and refusals; refusals go beside the decisions if left out. A part is sorted by customer
        and rank; parts are numbered by their first customer.
    as_of
        The day decided for; the fit's by default.
    master
        ``local[2]``, ``spark://host:port``, ``yarn``, or ``sc://host:port`` for Spark Connect; or a session, which
        stays open. If left out, the session that is open, or one as Spark's own configuration wants it.

    Raises
    ------
    NextOfferError
        Spark is not installed, cannot be started or reached, or does not see the files; a folder holds something else;
        or there are no customers.
    """
    refused = refusals or refusals_path(out)
    with _session(master) as spark, scratch_beside(out, refused) as scratch:
        try:
            told = _decided(engine, bank, as_of or engine.as_of, spark, scratch).to_pylist()
        except NextOfferError:
            raise
        except Exception as error:
            raise NextOfferError(_meaning(error, bank)) from error
        if not told:
            raise NextOfferError("the bank has no customers to decide for")
        scratch.publish(told, out, refused)
    customers, decisions, refusal_rows = (sum(p[n] for p in told) for n in ("customers", "decisions", "refusals"))
    return Written(customers, decisions, refusal_rows)


def _decided(engine: Engine, bank: Bank, day: date, spark: SparkSession, scratch: Scratch) -> pa.Table:
    """What the workers tell of the parts they wrote."""
    products = bank.table("products")
    # a policy that does not fit is found out here rather than by every worker
    engine.desk(products, day, closed=closed_columns(bank.config))
    with _tables(bank, spark, scratch) as tables:
        profiling = bank.has("consents") and _answer(spark, with_tables(tables, profiling_sql("spark")), day)
        wide = known_sql(
            engine.needs,
            columns_of(bank),
            products=products.column("product_id"),
            asked=engine.policy.asked,
            dialect="spark",
            profiling=bool(profiling),
        )
        known = spark.sql(with_tables(tables, wide), args={"as_of": day}).sortWithinPartitions("customer_id")
        many = customer_count(bank) >= COMPILE_FROM
        worker = Worker.of(engine, products, day, scratch, many=many)
        first = "long" if pa.types.is_integer(bank.id_type("customer_id")) else "string"

        def written(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for part in worker.written(batches):
                yield pa.RecordBatch.from_pylist([part])

        return known.mapInArrow(written, _TOLD.format(id=first)).toArrow()


def _answer(spark: SparkSession, query: str, day: date) -> object:
    return spark.sql(query, args={"as_of": day}).toArrow().column(0)[0].as_py()


@contextmanager
def _tables(bank: Bank, spark: SparkSession, scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """The bank's clean tables as SELECTs, over views of unique names that are gone afterwards."""
    handed = hand_over(bank, scratch.tables)
    codes = scratch.tables / f"{MCC_TABLE}.parquet"
    write_table(mcc.table(), codes)
    files = {**handed.stored, **{name: (path,) for name, path in handed.clean.items()}, MCC_TABLE: (codes,)}
    token = uuid.uuid4().hex[:12]
    views: dict[str, str] = {}
    try:
        for name, paths in files.items():
            rows = spark.read.parquet(*map(str, paths))
            if not rows.columns:  # Sail does not complain of a file that is not there
                raise NextOfferError(_unseen(bank, f"no columns in {paths[0]}"))
            views[name] = f"nextoffer_{token}_{name}"
            rows.createOrReplaceTempView(views[name])
        stored = {name: views[name] for name in handed.stored}
        clean = {name: f"SELECT * FROM {views[name]}" for name in (*handed.clean, MCC_TABLE)}
        yield clean | clean_tables(bank.layouts, bank.rules, "spark", stored)
    finally:
        for view in views.values():
            spark.catalog.dropTempView(view)


@contextmanager
def _session(master: str | SparkSession | None) -> Iterator[SparkSession]:
    """A session whose days begin at midnight UTC; closed afterwards if it was opened here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        spark, ours = _opened(master)
        zone = spark.conf.get(_UTC)
        try:
            spark.conf.set(_UTC, "UTC")
            yield spark
        finally:
            if ours:
                spark.stop()
            else:
                spark.conf.set(_UTC, str(zone))


def _opened(master: str | SparkSession | None) -> tuple[SparkSession, bool]:
    """The session, and whether it was opened here."""
    if find_spec("pyspark") is None:
        raise NextOfferError(
            "Spark is not installed here: pip install 'nextoffer[spark]' for a server that speaks Spark Connect "
            "(sc://host:port), or pip install 'pyspark[connect]' to start Spark from here"
        )
    from pyspark.sql import SparkSession

    if master is not None and not isinstance(master, str):
        return master, False
    if master is None and (active := SparkSession.getActiveSession()) is not None:
        return active, False
    try:
        return _builder(master).getOrCreate(), True
    except Exception as error:
        raise NextOfferError(_why_no_session(master, error)) from error


def _builder(master: str | None) -> SparkSession.Builder:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("nextoffer")
    if master is None:
        return builder
    if master.startswith("sc://"):
        return builder.remote(master)
    if find_spec("py4j") is None:
        raise NextOfferError(f"only the client of Spark Connect is installed: pip install pyspark for '{master}'")
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for key, value in _LOCAL.items():
            builder = builder.config(key, value)
    return builder.master(master)


def _why_no_session(master: str | None, error: Exception) -> str:
    said = _first_line(error)
    if "JAVA" in said.upper() or type(error).__name__ == "FileNotFoundError":
        return f"Spark needs Java 17 or later to start from here: install it or set JAVA_HOME ({said})"
    return f"Spark cannot be reached or started at '{master or 'its own configuration'}': {said}"


def _meaning(error: Exception, bank: Bank) -> str:
    """What went wrong on the cluster, and what can be done about it."""
    said = str(error)
    if "PATH_NOT_FOUND" in said or "No such file" in said or "does not exist" in said:
        return _unseen(bank, _first_line(error))
    if "No module named 'nextoffer'" in said:
        return "NextOffer is not installed on Spark's workers; they need the same version as this machine"
    if "UNAVAILABLE" in said or "Connection refused" in said:
        return f"Spark cannot be reached: {_first_line(error)}"
    return f"Spark failed: {_last_line(said)}"


def _unseen(bank: Bank, said: str) -> str:
    return (
        f"Spark does not see the files of {bank.path} or of the output: driver and every worker must see both "
        f"under the same path, as on a shared disk ({said})"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _last_line(said: str) -> str:
    """What the worker's exception says, where there is one; it stands last before Java's own trace."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.strip().startswith("at ")]
    errors = [line for line in lines if "Error: " in line or "Exception: " in line]
    return (errors or lines or ["nothing was said"])[-1][:500]
