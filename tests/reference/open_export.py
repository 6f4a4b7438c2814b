"""Opens an exported directory with Transformers and compares its logits with ours.

usage: open_export.py DIRECTORY OURS.json TEXT
"""

import json
import sys

import torch
from transformers import AutoTokenizer, RobertaForMaskedLM

directory, ours, text = sys.argv[1:]
with open(ours) as file:
    ours = json.load(file)
model, report = RobertaForMaskedLM.from_pretrained(directory, output_loading_info=True)
assert not report["missing_keys"], report["missing_keys"]
assert not report["unexpected_keys"], report["unexpected_keys"]
model.eval()
tokenizer = AutoTokenizer.from_pretrained(directory)
ids = tokenizer(text)["input_ids"]
with torch.no_grad():
    logits = model(torch.tensor([ours["ids"]])).logits[0]
difference = (logits - torch.tensor(ours["logits"])).abs().max().item()
print(json.dumps({"ids": ids == ours["ids"], "theirs": ids, "ours": ours["ids"], "max_difference": difference}))
