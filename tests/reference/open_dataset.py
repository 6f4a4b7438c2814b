"""Opens a prepared dataset with the tools that people use, and says what each of them finds.

usage: open_dataset.py DATASET TOKENIZER_HASH
"""

import json
import sys

import datasets
import duckdb
import polars
import pyarrow.parquet

folder, tokenizer = sys.argv[1:]
docs = f"{folder}/docs/*.parquet"
tokens = f"{folder}/tokens/{tokenizer}/*.parquet"


def with_pyarrow():
    texts = pyarrow.parquet.read_table(f"{folder}/docs")
    ids = pyarrow.parquet.read_table(f"{folder}/tokens/{tokenizer}")
    assert texts["doc_id"] == ids["doc_id"] and texts["chunk"] == ids["chunk"], "the tables have different rows"
    for text, ends in zip(texts["text"].to_pylist(), texts["sent_end"].to_pylist()):
        assert ends == sorted(ends) and ends[-1] == len(text.encode()), "sentences are not the text"
    for row, lens, count in zip(*(ids[name].to_pylist() for name in ("input_ids", "sent_len", "n_tokens"))):
        assert len(row) == sum(lens) == count, "sentences are not the row"
    return len(texts), sum(len(text.encode()) for text in texts["text"].to_pylist()), sum(ids["n_tokens"].to_pylist())


def with_polars():
    texts = polars.scan_parquet(docs).select(polars.len(), polars.col("text").str.len_bytes().sum()).collect().row(0)
    ids = polars.scan_parquet(tokens).select(polars.col("input_ids").list.len().sum()).collect().item()
    return *texts, ids


def with_duckdb():
    texts = duckdb.sql(f"select count(*), sum(strlen(text)) from '{docs}'").fetchall()[0]
    ids = duckdb.sql(f"select sum(len(input_ids)) from '{tokens}'").fetchall()[0]
    return *texts, *ids


def with_datasets():
    load = lambda files: datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=sys.argv[1] + "-hf")
    texts, ids = load(docs), load(tokens)
    return len(texts), sum(len(text.encode()) for text in texts["text"]), sum(len(row) for row in ids["input_ids"])


found = {tool.__name__[5:]: [int(number) for number in tool()] for tool in (with_pyarrow, with_polars, with_duckdb, with_datasets)}
print(json.dumps(found))
