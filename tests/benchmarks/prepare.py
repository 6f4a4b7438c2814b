"""Other tools on the documents that `stages` wrote, one thread each: Hugging Face `tokenizers` with the same
tokenizer.json, and `datatrove` with its MinHash signatures and its Gopher filters. Reads what to do from a JSON file and
prints what it measured as JSON; what cannot be imported is named with the reason. Knows nothing of this project's own
times."""

import os

for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import json
import sys
import tempfile
import time
from importlib.metadata import version

# datatrove is slow enough to be known by a part of the documents.
DATATROVE_BYTES = 2_000_000


def seconds_of(work):
    """The processor time of this process, and what the work gave."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


class Measured:
    def __init__(self, repeat):
        self.repeat = repeat
        self.versions = {"python": sys.version.split()[0]}
        self.steps = []
        self.skipped = []

    def step(self, name, size, work, **more):
        runs = [seconds_of(work) for _ in range(self.repeat)]
        self.steps.append({"name": name, "bytes": size, "seconds": [run[0] for run in runs], **more})
        return runs[-1][1]


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def tokenizers(task, measured):
    from tokenizers import Tokenizer

    measured.versions["tokenizers"] = version("tokenizers")
    path = os.path.join(task["folder"], "documents.jsonl")
    texts = read(path)
    size = sum(len(text.encode()) for text in texts)
    measured.step("tokenizers: read documents", size, lambda: read(path))

    for named in task["tokenizers"]:
        tokenizer = Tokenizer.from_file(os.path.join(task["folder"], named["name"] + ".json"))
        # Text must not become a special token: as the datasets of this project have it.
        tokenizer.encode_special_tokens = True

        def encode():
            count = 0
            for text in texts:
                count += len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)
            return count

        name = f"tokenizers: {named['name']}"
        tokens = measured.step(name, size, encode)
        measured.steps[-1]["tokens"] = tokens


def datatrove(task, measured):
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
    from datatrove.utils.logging import logger
    from datatrove.utils.text import split_into_words

    logger.remove()
    measured.versions["datatrove"] = version("datatrove")
    texts, size = [], 0
    for text in read(os.path.join(task["folder"], "documents.jsonl")):
        if size < DATATROVE_BYTES:
            texts.append(text)
            size += len(text.encode())

    def documents():
        return [Document(text=text, id=str(number)) for number, text in enumerate(texts)]

    # Loading word lists is not counted.
    split_into_words("Once upon a time.", "eng")
    for name, rules in (("quality", GopherQualityFilter()), ("repetition", GopherRepetitionFilter())):
        measured.step(f"datatrove: Gopher {name}", size, lambda: sum(rules.filter(it) is True for it in documents()))
    with tempfile.TemporaryDirectory() as folder:
        signatures = MinhashDedupSignature(folder, MinhashConfig())
        measured.step("datatrove: MinHash signatures", size, lambda: signatures.run(iter(documents())))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    measured = Measured(task["repeat"])
    for work in (tokenizers, datatrove):
        try:
            work(task, measured)
        # A peer that is not there, or does not work here, must not take the others with it.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            measured.skipped.append({"name": work.__name__, "reason": reason})
    print(json.dumps({"versions": measured.versions, "steps": measured.steps, "skipped": measured.skipped}))


if __name__ == "__main__":
    main()
