"""What Transformers and PyTorch make of a few small RoBERTas: written to the folder OUT for `reference.rs`.

Per case: configuration, first weights, batches with padded rows, losses, scores at the masked positions, all gradients,
and the weights after three updates by `torch.optim.AdamW` and by fairseq's Adam. `common.py` has the format's rest.
"""

from torch.nn import functional as F
from transformers import RobertaConfig, RobertaForMaskedLM

import common

SPECIALS = dict(bos=0, pad=1, eos=2, unk=3, mask=4)
OPTIMIZER = dict(kind="fairseq-adam", peak_learning_rate=1e-3, betas=[0.9, 0.98], epsilon=1e-6, weight_decay=0.01,
                 decay_exempts_bias_and_norm=False)

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=100, vocab=211, max_len=37, max_positions=40,
         lengths=[37, 20, 5, 36]),
    dict(name="full", layers=1, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=16, max_positions=16,
         lengths=[16, 16], clip_norm=0.5),
    dict(name="single", layers=2, hidden=64, heads=4, feed_forward=256, vocab=500, max_len=64, max_positions=512,
         lengths=[3], optimizer=dict(epsilon=1e-5)),
    dict(name="many", layers=2, hidden=20, heads=1, feed_forward=33, vocab=77, max_len=9, max_positions=11,
         lengths=[9, 8, 7, 6, 5, 4, 3], optimizer=dict(decay_exempts_bias_and_norm=True)),
    dict(name="overlay", layers=2, hidden=32, heads=2, feed_forward=64, vocab=21, max_len=24, max_positions=24,
         lengths=[24, 24, 17, 22], overlay=True, optimizer=dict(peak_learning_rate=3e-3),
         schedule=dict(kind="linear", warmup_steps=30)),
]


def plan(case):
    return common.plan("roberta", case, model=dict(layer_norm_epsilon=1e-5, activation="gelu"),
                       objective=dict(format="full-sentences", normaliser="global"), optimizer=OPTIMIZER)


def network(case):
    settings = common.hf_settings(case) | dict(
        max_position_embeddings=case["max_positions"] + SPECIALS["pad"] + 1, type_vocab_size=1, layer_norm_eps=1e-5,
        pad_token_id=SPECIALS["pad"], bos_token_id=SPECIALS["bos"], eos_token_id=SPECIALS["eos"],
    )
    model = RobertaForMaskedLM(RobertaConfig(**settings))
    # RoBERTa has no segments; the row is added, and not trained.
    model.roberta.embeddings.token_type_embeddings.weight.requires_grad_(False)
    return model


def rows(case, words):
    texts = [words.single(length, SPECIALS) for length in case["lengths"]]
    return [words.mask(row, specials=SPECIALS, mask_specials=True) for row in texts]


def forward(model, plan, batch):
    batch = common.tensors(batch)
    hidden = model.roberta(**batch.inputs).last_hidden_state.flatten(0, 1)
    logits = model.lm_head(hidden[batch.positions])
    loss = F.cross_entropy(logits, batch.targets)
    return loss, dict(mlm=loss), dict(logits=logits)


if __name__ == "__main__":
    common.main("roberta", CASES, plan=plan, network=network, rows=rows, forward=forward, specials=SPECIALS,
                optimizers=["adam-w", "fairseq-adam"])
