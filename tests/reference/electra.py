"""What Transformers and PyTorch make of a few small ELECTRAs: written to the folder OUT for `reference.rs`.

Two networks in one step (Clark et al. 2020, §2): the generator's loss of masked words, and 50 times the
discriminator's loss over all tokens of a row in which the generator's words stand. Here these are the most likely ones
and not drawn, so that there is something to compare. `common.py` has the format.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

import common

OPTIMIZER = dict(kind="bert-adam", peak_learning_rate=1e-3, betas=[0.9, 0.999], epsilon=1e-6, weight_decay=0.01,
                 decay_exempts_bias_and_norm=True)

# The most likely word must win by more than rounding can turn, here and elsewhere: where it does not, a case needs
# another seed.
MARGIN = 1e-4

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=101, vocab=211, max_len=37, max_positions=40,
         embedding=21, generator_hidden=0.25, lengths=[37, 20, 5, 36]),
    dict(name="equal", layers=2, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=16, max_positions=16,
         embedding=30, generator_hidden=0.5, lengths=[16, 16], clip_norm=0.0),
    dict(name="twice", layers=2, hidden=20, heads=1, feed_forward=33, vocab=77, max_len=15, max_positions=17,
         embedding=8, generator_hidden=0.4, generator_layers=0.5, lengths=[15, 14, 13, 12, 11, 3, 5],
         replacement=True, seed=7),
    dict(name="none", layers=2, hidden=24, heads=4, feed_forward=31, vocab=77, max_len=13, max_positions=14,
         embedding=10, generator_hidden=0.5, lengths=[6, 13, 9], share="none"),
    dict(name="all", layers=2, hidden=32, heads=4, feed_forward=45, vocab=130, max_len=15, max_positions=512,
         embedding=12, generator_hidden=1.0, lengths=[15], share="all"),
    # Wide, because a generator's head is 64 wide: this one has two.
    dict(name="wide", layers=1, hidden=128, heads=4, feed_forward=60, vocab=61, max_len=9, max_positions=9,
         embedding=40, generator_hidden=1.0, lengths=[9, 6]),
    dict(name="overlay", layers=2, hidden=32, heads=2, feed_forward=64, vocab=21, max_len=24, max_positions=24,
         embedding=16, generator_hidden=0.5, lengths=[24, 24, 17, 22], replacement=True, overlay=True,
         optimizer=dict(peak_learning_rate=6e-4), schedule=dict(kind="linear-times-warmup", warmup_steps=30)),
]


def plan(case):
    model = dict(layer_norm_epsilon=1e-12, activation="gelu", embedding=case["embedding"],
                 generator_hidden=case["generator_hidden"], generator_layers=case.get("generator_layers", 1.0),
                 share=case.get("share", "embeddings"))
    objective = dict(format="segment-halves", normaliser="group", with_replacement=case.get("replacement", False),
                     generator_weight=1.0, discriminator_weight=50.0, temperature=1.0, sampling="argmax")
    return common.plan("electra", case, model=model, objective=objective, optimizer=OPTIMIZER, clip_norm=1.0)


def generator_case(case):
    """google-research/electra, run_pretraining.py, `get_generator_config`, and its words for untied embeddings."""
    share = case.get("share", "embeddings")
    if share == "all":
        return case
    hidden = round(case["hidden"] * case["generator_hidden"])
    return case | dict(
        hidden=hidden, layers=round(case["layers"] * case.get("generator_layers", 1.0)),
        heads=max(1, hidden // 64), feed_forward=4 * hidden,
        embedding=hidden if share == "none" else case["embedding"],
    )


class Electra(nn.Module):
    """Both networks; what they share is the discriminator's, and found there first."""

    def __init__(self, case):
        super().__init__()
        config = lambda case: ElectraConfig(**common.hf_settings(case), embedding_size=case["embedding"])
        self.discriminator = ElectraForPreTraining(config(case))
        self.generator = ElectraForMaskedLM(config(generator_case(case)))
        share = case.get("share", "embeddings")
        if share == "all":
            self.generator.electra = self.discriminator.electra
        elif share == "embeddings":
            self.generator.electra.embeddings = self.discriminator.electra.embeddings
        table = self.generator.electra.embeddings.word_embeddings
        self.generator.generator_lm_head.weight = table.weight
        # A generator may choose the padding's id; the original trains its row as any other.
        for network in [self.discriminator, self.generator]:
            network.electra.embeddings.word_embeddings.padding_idx = None


def network(case):
    return Electra(case)


def rows(case, words):
    found = []
    for length in case["lengths"]:
        topic = words.rng.randrange(2)
        row = words.single(length) if length < 5 or words.rng.random() < 0.1 else words.pair(length, (topic, topic))
        # google-research/electra, pretrain/pretrain_helpers.py: 15 % are kept, none is random.
        found.append(words.mask(row, shares=(0.85, 0.0), replacement=case.get("replacement", False)))
    return found


def replaced(batch, guesses):
    """The rows with the generator's words, and where these differ from the original ones.

    google-research/electra, pretrain/pretrain_helpers.py, `scatter_update`: a position that was drawn several times
    gets the mean of its words, rounded down.
    """
    masked = batch.inputs["input_ids"].flatten()
    original = masked.scatter(0, batch.positions, batch.targets)
    sums = torch.zeros_like(masked).index_add(0, batch.positions, guesses)
    times = torch.zeros_like(masked).index_add(0, batch.positions, torch.ones_like(guesses))
    corrupted = torch.where(times > 0, sums // times.clamp(min=1), original)
    return corrupted.view(batch.mask.shape), (corrupted != original).view(batch.mask.shape)


def likeliest(logits):
    best = logits.topk(2).values
    assert (best[:, 0] - best[:, 1]).min() > MARGIN, "two words are nearly as likely: take another seed"
    return logits.argmax(-1)


def forward(model, plan, batch, choose=likeliest):
    """`choose` makes words of the generator's scores."""
    batch = common.tensors(batch)
    hidden = model.generator.electra(**batch.inputs).last_hidden_state.flatten(0, 1)
    logits = model.generator.generator_lm_head(model.generator.generator_predictions(hidden[batch.positions]))
    corrupted, differs = replaced(batch, choose(logits.detach()))
    hidden = model.discriminator.electra(**batch.inputs | dict(input_ids=corrupted)).last_hidden_state
    rtd_logits = model.discriminator.discriminator_predictions(hidden)[batch.mask]
    labels = differs[batch.mask].to(rtd_logits.dtype)
    terms = dict(mlm=F.cross_entropy(logits, batch.targets),
                 rtd=F.binary_cross_entropy_with_logits(rtd_logits, labels))
    weights = plan["objective"]["generator_weight"], plan["objective"]["discriminator_weight"]
    total = weights[0] * terms["mlm"] + weights[1] * terms["rtd"]
    return total, terms, dict(logits=logits, rtd_logits=rtd_logits)


if __name__ == "__main__":
    common.main("electra", CASES, plan=plan, network=network, rows=rows, forward=forward, optimizers=["bert-adam"])
