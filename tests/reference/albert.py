"""What Transformers and PyTorch make of a few small ALBERTs: written to the folder OUT for `reference.rs`.

The loss is that of masked words plus that of the sentence order (Lan et al. 2020, §3.1); updates are those of
google-research/albert's LAMB. Transformers shares whole layers only; the paper's other ways of sharing (table 4) are
made here, of as many groups as there are layers. `common.py` has the format.
"""

from torch.nn import functional as F
from transformers import AlbertConfig, AlbertForPreTraining

import common

OPTIMIZER = dict(kind="lamb", peak_learning_rate=2e-3, betas=[0.9, 0.999], epsilon=1e-6, weight_decay=0.01,
                 decay_exempts_bias_and_norm=True)

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=101, vocab=211, max_len=37, max_positions=40,
         embedding=21, lengths=[37, 20, 5, 36]),
    dict(name="groups", layers=3, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=16, max_positions=16,
         embedding=9, lengths=[16, 16], groups=2, inner_groups=2, clip_norm=0.0),
    dict(name="single", layers=2, hidden=20, heads=1, feed_forward=33, vocab=300, max_len=64, max_positions=512,
         embedding=64, lengths=[5]),
    dict(name="attention", layers=3, hidden=24, heads=2, feed_forward=31, vocab=77, max_len=11, max_positions=13,
         embedding=10, lengths=[11, 10, 9, 8, 7, 6, 5], share="attention"),
    dict(name="ffn", layers=3, hidden=24, heads=4, feed_forward=31, vocab=77, max_len=13, max_positions=13,
         embedding=11, lengths=[13, 9], share="ffn"),
    dict(name="none", layers=2, hidden=28, heads=7, feed_forward=45, vocab=77, max_len=13, max_positions=14,
         embedding=12, lengths=[6, 13, 9], share="none"),
    dict(name="overlay", layers=2, hidden=32, heads=2, feed_forward=64, vocab=21, max_len=24, max_positions=24,
         embedding=16, lengths=[24, 24, 17, 22], overlay=True, optimizer=dict(peak_learning_rate=2e-3),
         schedule=dict(kind="linear-from-start", warmup_steps=30)),
]


def plan(case):
    model = dict(layer_norm_epsilon=1e-12, activation="gelu-tanh", embedding=case["embedding"],
                 share=case.get("share", "all"), groups=case.get("groups", 1), inner_groups=case.get("inner_groups", 1))
    objective = dict(format="segment-pair", pair_task="sop", normaliser="group")
    return common.plan("albert", case, model=model, objective=objective, optimizer=OPTIMIZER, clip_norm=1.0)


def network(case):
    share = case.get("share", "all")
    groups = case.get("groups", 1) if share == "all" else case["layers"]
    model = AlbertForPreTraining(AlbertConfig(
        **common.hf_settings(case), hidden_act="gelu_new", embedding_size=case["embedding"],
        num_hidden_groups=groups, inner_group_num=case.get("inner_groups", 1), classifier_dropout_prob=0.0,
    ))
    layers = [group.albert_layers[0] for group in model.albert.encoder.albert_layer_groups]
    shared = dict(attention=["attention"], ffn=["ffn", "ffn_output", "full_layer_layer_norm"]).get(share, [])
    for layer in layers:
        for part in shared:
            setattr(layer, part, getattr(layers[0], part))
    return model


def rows(case, words):
    found = []
    for length in case["lengths"]:
        # 0: the segments are in order, here: the first topic comes first. 1: they are swapped. Some labels are wrong:
        # the loss shall not come so near to 0 that rounding is much of it.
        topic, relation = words.rng.randrange(2), words.rng.randrange(2)
        first = relation if words.rng.random() < 0.8 else topic
        found.append(words.mask(words.pair(length, (first, 1 - first)) | dict(relation=relation)))
    return found


def forward(model, plan, batch):
    batch = common.tensors(batch)
    encoded = model.albert(**batch.inputs)
    logits = model.predictions(encoded.last_hidden_state.flatten(0, 1)[batch.positions])
    order = model.sop_classifier(encoded.pooler_output)
    terms = dict(mlm=F.cross_entropy(logits, batch.targets), sop=F.cross_entropy(order, batch.relations))
    return sum(terms.values()), terms, dict(logits=logits)


if __name__ == "__main__":
    common.main("albert", CASES, plan=plan, network=network, rows=rows, forward=forward, optimizers=["lamb"])
