"""What Transformers and PyTorch make of a few small BERTs: written to the folder OUT for `reference.rs`.

With pairs of segments the loss is that of masked words plus that of the next sentence (Devlin et al. 2019, §3.1);
without, there is no pooler and no second loss. Updates are those of google-research/bert. `common.py` has the format.
"""

from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining

import common

OPTIMIZER = dict(kind="bert-adam", peak_learning_rate=1e-3, betas=[0.9, 0.999], epsilon=1e-6, weight_decay=0.01,
                 decay_exempts_bias_and_norm=True)

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=101, vocab=211, max_len=37, max_positions=40,
         lengths=[37, 20, 5, 36]),
    dict(name="tanh", layers=2, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=16, max_positions=16,
         lengths=[16, 16], activation="gelu-tanh", clip_norm=0.0),
    dict(name="single", layers=2, hidden=64, heads=4, feed_forward=256, vocab=500, max_len=64, max_positions=512,
         lengths=[5]),
    dict(name="many", layers=1, hidden=20, heads=1, feed_forward=33, vocab=77, max_len=11, max_positions=13,
         lengths=[11, 10, 9, 8, 7, 6, 5]),
    dict(name="alone", layers=2, hidden=36, heads=4, feed_forward=55, vocab=131, max_len=19, max_positions=23,
         lengths=[19, 3, 12], format="full-sentences"),
    dict(name="overlay", layers=2, hidden=32, heads=2, feed_forward=64, vocab=21, max_len=24, max_positions=24,
         lengths=[24, 24, 17, 22], overlay=True, optimizer=dict(peak_learning_rate=6e-4),
         schedule=dict(kind="linear-from-start", warmup_steps=30)),
]


def with_pairs(case):
    return case.get("format", "segment-pair") == "segment-pair"


def plan(case):
    return common.plan("bert", case, optimizer=OPTIMIZER, clip_norm=1.0,
                       model=dict(layer_norm_epsilon=1e-12, activation=case.get("activation", "gelu")),
                       objective=dict(format=case.get("format", "segment-pair"), normaliser="group"))


def network(case):
    names = {"gelu": "gelu", "gelu-tanh": "gelu_new"}
    kind = BertForPreTraining if with_pairs(case) else BertForMaskedLM
    config = BertConfig(**common.hf_settings(case), hidden_act=names[case.get("activation", "gelu")])
    return kind(config)


def rows(case, words):
    found = []
    for length in case["lengths"]:
        if with_pairs(case):
            # 0: B continues A, here: keeps its topic. 1: it comes from elsewhere.
            topic, relation = words.rng.randrange(2), words.rng.randrange(2)
            row = words.pair(length, (topic, topic ^ relation)) | dict(relation=relation)
        else:
            row = words.single(length)
        found.append(words.mask(row))
    return found


def forward(model, plan, batch):
    batch = common.tensors(batch)
    encoded = model.bert(**batch.inputs)
    logits = model.cls.predictions(encoded.last_hidden_state.flatten(0, 1)[batch.positions])
    terms = dict(mlm=F.cross_entropy(logits, batch.targets))
    if len(batch.relations):
        terms["nsp"] = F.cross_entropy(model.cls.seq_relationship(encoded.pooler_output), batch.relations)
    return sum(terms.values()), terms, dict(logits=logits)


if __name__ == "__main__":
    common.main("bert", CASES, plan=plan, network=network, rows=rows, forward=forward, optimizers=["bert-adam"])
