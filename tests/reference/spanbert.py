"""What Transformers and PyTorch make of a few small SpanBERTs: written to the folder OUT for `reference.rs`.

The encoder and the loss of masked words are BERT's; the loss of the span's boundary (Joshi et al. 2020, §3.2) is
written down here from facebookresearch/SpanBERT, `fairseq/models/pair_bert.py` and `fairseq/data/masking.py`. Updates
are those of fairseq's Adam. `common.py` has the format.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

import common

OPTIMIZER = dict(kind="fairseq-adam", peak_learning_rate=1e-3, betas=[0.9, 0.999], epsilon=1e-6, weight_decay=0.01,
                 decay_exempts_bias_and_norm=False)

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=101, vocab=211, max_len=37, max_positions=40,
         pair_embedding=13, max_pair_targets=20, lengths=[37, 20, 5, 36]),
    dict(name="short", layers=1, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=26, max_positions=26,
         pair_embedding=50, max_pair_targets=3, lengths=[26, 26]),
    # One token between the specials: its span has no neighbours, and the boundary no targets.
    dict(name="single", layers=2, hidden=64, heads=4, feed_forward=256, vocab=300, max_len=64, max_positions=512,
         pair_embedding=200, max_pair_targets=20, lengths=[3]),
    # Adam does not see the second division but where gradients come near to epsilon.
    dict(name="divided", layers=2, hidden=20, heads=1, feed_forward=33, vocab=77, max_len=15, max_positions=17,
         pair_embedding=8, max_pair_targets=15, lengths=[15, 14, 13, 9, 8, 7, 6], normaliser="group-over-targets",
         optimizer=dict(epsilon=1e-4)),
    dict(name="overlay", layers=2, hidden=32, heads=2, feed_forward=64, vocab=21, max_len=24, max_positions=24,
         pair_embedding=12, max_pair_targets=4, lengths=[24, 24, 17, 22], overlay=True, clip_norm=1.0,
         normaliser="group-over-targets", optimizer=dict(peak_learning_rate=3e-3, epsilon=1e-8),
         schedule=dict(kind="linear", warmup_steps=30)),
]


def plan(case):
    model = dict(layer_norm_epsilon=1e-12, activation="gelu", pair_embedding=case["pair_embedding"])
    objective = dict(format="span-blocks", normaliser=case.get("normaliser", "group"), sbo_weight=1.0,
                     max_pair_targets=case["max_pair_targets"])
    return common.plan("spanbert", case, model=model, objective=objective, optimizer=OPTIMIZER)


class SpanBoundary(nn.Module):
    """Predicts a span's tokens from the two tokens around it and from their place in the span."""

    def __init__(self, case):
        super().__init__()
        hidden, pair = case["hidden"], case["pair_embedding"]
        self.position_embeddings = nn.Embedding(case["max_pair_targets"], pair)
        self.dense1, self.norm1 = nn.Linear(2 * hidden + pair, hidden), nn.LayerNorm(hidden, eps=1e-12)
        self.dense2, self.norm2 = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(case["vocab"]))

    def forward(self, hidden, spans, table):
        places = self.position_embeddings(spans.offset - 1)
        found = torch.cat([hidden[spans.left], hidden[spans.right], places], dim=-1)
        found = self.norm1(F.gelu(self.dense1(found)))
        found = self.norm2(F.gelu(self.dense2(found)))
        return F.linear(found, table, self.bias)


def network(case):
    model = BertForMaskedLM(BertConfig(**common.hf_settings(case), hidden_act="gelu"))
    model.sbo = SpanBoundary(case)
    model.sbo.apply(model._init_weights)
    return model


def spans_of(rng, tokens):
    """Spans of a block's tokens, as first and last; two never touch, for touching ones would be one."""
    budget, spans, taken = max(1, round(rng.uniform(0.15, 0.35) * tokens)), [], set()
    for _ in range(20):
        length = min(rng.randint(1, 6), budget)
        first = rng.randint(0, tokens - length)
        if budget and not taken & set(range(first - 1, first + length + 1)):
            spans.append((first, first + length - 1))
            taken |= set(range(first, first + length))
            budget -= length
    return sorted(spans)


def rows(case, words):
    return [row(case, words, length) for length in case["lengths"]]


def row(case, words, length):
    found, rng, tokens = words.single(length), words.rng, length - 2
    spans = {key: [] for key in ["left", "right", "offset", "ids"]}
    found |= dict(positions=[], targets=[], spans=spans)
    ids = found["ids"]
    for first, last in spans_of(rng, tokens):
        positions = range(first + 1, last + 2)
        original = [ids[at] for at in positions]
        # `span_masking`: spans at an end of the block have no targets, and of long ones the first tokens only.
        pairs = original[:case["max_pair_targets"]] if first > 0 and last < tokens - 1 else []
        for offset, token in enumerate(pairs, start=1):
            spans["left"].append(positions[0] - 1)
            spans["right"].append(positions[-1] + 1)
            spans["offset"].append(offset)
            spans["ids"].append(token)
        draw = rng.random()
        for at in positions:
            found["positions"].append(at)
            found["targets"].append(ids[at])
            ids[at] = common.SPECIALS["mask"] if draw < 0.8 else rng.choice(words.all) if draw < 0.9 else ids[at]
    return found


def forward(model, plan, batch):
    batch = common.tensors(batch)
    hidden = model.bert(**batch.inputs).last_hidden_state.flatten(0, 1)
    logits = model.cls.predictions(hidden[batch.positions])
    boundary = model.sbo(hidden, batch.spans, model.bert.embeddings.word_embeddings.weight)
    targets = batch.spans.ids
    terms = dict(mlm=F.cross_entropy(logits, batch.targets),
                 sbo=F.cross_entropy(boundary, targets, reduction="sum") / max(1, len(targets)))
    return terms["mlm"] + plan["objective"]["sbo_weight"] * terms["sbo"], terms, dict(logits=logits)


if __name__ == "__main__":
    common.main("spanbert", CASES, plan=plan, network=network, rows=rows, forward=forward, optimizers=["fairseq-adam"])
