"""Opens an exported directory with Transformers, compares its logits with ours, and saves it again.

usage: open_export.py DIRECTORY OURS.json TEXT AGAIN

The class is the one that the directory's configuration names; of an ELECTRA's discriminator, its scores are compared.
Saved again under AGAIN, every tensor must have the bits that it had. `pipeline("fill-mask")` must work on it.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

directory, ours, text, again = sys.argv[1:]
ours = json.loads(pathlib.Path(ours).read_text())
settings = json.loads((pathlib.Path(directory) / "config.json").read_text())
model, report = getattr(transformers, settings["architectures"][0]).from_pretrained(
    directory, output_loading_info=True)
assert not report["missing_keys"], report["missing_keys"]
assert not report["unexpected_keys"], report["unexpected_keys"]
model.eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
ids = tokenizer(text)["input_ids"]
with torch.no_grad():
    found = model(torch.tensor([ours["ids"]]))
detects = type(model).__name__ == "ElectraForPreTraining"
logits = found.prediction_logits if "prediction_logits" in found else found.logits
difference = (logits[0] - torch.tensor(ours["replaced" if detects else "logits"])).abs().max().item()

model.save_pretrained(again)
tokenizer.save_pretrained(again)
before, after = (load_file(pathlib.Path(folder) / "model.safetensors") for folder in [directory, again])
same = {name for name in after if name in before and torch.equal(before[name], after[name])}
filled = [] if detects else transformers.pipeline("fill-mask", model=directory, tokenizer=directory)(text)
print(json.dumps({
    "ids": ids == ours["ids"], "theirs": ids, "ours": ours["ids"], "max_difference": difference,
    "changed": sorted(set(after) - same), "lost": sorted(set(before) - set(after)),
    "filled": [guess["token_str"] for guess in filled],
}))
