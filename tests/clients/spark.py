"""Spark reads a dataset through pyspark-huggingface."""
import os, sys

from pyspark.sql import SparkSession

from common import DATASET, rows, tool

# It looks for its data sources in this Python's packages.
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
if tool("java"):
    spark = SparkSession.builder.master("local[2]").getOrCreate()
    frame = spark.read.format("huggingface").load(DATASET)
    assert sorted((row.asDict() for row in frame.collect()), key=lambda row: row["id"]) == rows()
    spark.stop()
