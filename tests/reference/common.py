"""What the scripts of the five families share: batches of tokens that can be learned, update rules and schedules
written down from their sources, and the two files per case that `reference.rs` reads. Knows no network and no loss.

A script names its cases and gives three functions of a case (`plan`, `network`, `rows`) and one of a network and a
batch (`forward`); `main` does the rest. Weights, batches and numbers follow from a case's seed alone. A network comes
with Transformers' first weights; the tests replace them, `tests/benchmarks/curves.py` trains from them.
"""

import json
import math
import pathlib
import random
import sys
import types

import torch
from safetensors.torch import save_file

# Updates on the first batch after which weights are compared.
UPDATES = 3
# Steps, each on its own batch, over which the losses of a case with `overlay` are compared.
OVERLAY_STEPS = 300
# BERT's order of special tokens, shortened; RoBERTa has its own.
SPECIALS = dict(pad=0, unk=1, bos=2, eos=3, mask=4)


def plan(family, case, *, model, objective, optimizer, clip_norm=0.0):
    """The run configuration of a case, table by table. What a case says of itself goes before the family's values."""
    rows, overlay = len(case["lengths"]), case.get("overlay", False)
    sizes = {key: case[key] for key in ["layers", "hidden", "heads", "feed_forward", "max_positions"]}
    schedule = case.get("schedule", dict(kind="constant", warmup_steps=0))
    return dict(
        run=dict(name="reference"),
        data=dict(dataset="none"),
        model=dict(family=family, **sizes, vocab_size=case["vocab"], dropout=0.0, attention_dropout=0.0, **model),
        objective=dict(max_len=case["max_len"], **objective),
        train=dict(steps=OVERLAY_STEPS if overlay else UPDATES, batch=rows, micro_batch=rows,
                   clip_norm=case.get("clip_norm", clip_norm)),
        optimizer=optimizer | case.get("optimizer", {}),
        schedule=schedule,
    )


def toml(tables):
    """Tables of strings, numbers, truth values and lists of them: there JSON and TOML write the same."""
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def hf_settings(case):
    """What every Transformers configuration calls the same. Dropout is off, if a case does not say otherwise: its draws
    cannot be compared."""
    return dict(
        vocab_size=case["vocab"], hidden_size=case["hidden"], num_hidden_layers=case["layers"],
        num_attention_heads=case["heads"], intermediate_size=case["feed_forward"],
        max_position_embeddings=case["max_positions"], type_vocab_size=2, layer_norm_eps=1e-12,
        hidden_dropout_prob=case.get("dropout", 0.0), attention_probs_dropout_prob=case.get("attention_dropout", 0.0),
        initializer_range=case.get("init_std", 0.02), pad_token_id=SPECIALS["pad"],
        attn_implementation="eager",
    )


def randomise(model, case):
    """Larger weights than at the start of a training, and no zeros: a swapped or forgotten tensor must show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(torch.randn_like(parameter) * case.get("std", 0.15) + centre)
    return model.train()


class Words:
    """Text of two topics. A word is mostly followed by the next one of its topic's cycle, so that masked words can be
    learned from their neighbours, and a segment's topic from its words."""

    def __init__(self, rng, vocab_size):
        words = list(range(len(SPECIALS), vocab_size))
        rng.shuffle(words)
        self.rng, self.all = rng, words
        self.topics = [words[:len(words) // 2], words[len(words) // 2:]]

    def sequence(self, length, topic):
        cycle, found = self.topics[topic], []
        at = self.rng.randrange(len(cycle))
        for _ in range(length):
            found.append(cycle[at])
            at = (at + 1) % len(cycle) if self.rng.random() < 0.85 else self.rng.randrange(len(cycle))
        return found

    def single(self, length, specials=SPECIALS):
        """`[CLS] A [SEP]`"""
        words = self.sequence(length - 2, self.rng.randrange(2))
        return dict(ids=[specials["bos"], *words, specials["eos"]], segments=[0] * length)

    def pair(self, length, topics):
        """`[CLS] A [SEP] B [SEP]`"""
        first = self.rng.randint(1, length - 4)
        second = length - 3 - first
        a, b = self.sequence(first, topics[0]), self.sequence(second, topics[1])
        ids = [SPECIALS["bos"], *a, SPECIALS["eos"], *b, SPECIALS["eos"]]
        return dict(ids=ids, segments=[0] * (first + 2) + [1] * (second + 1))

    def mask(self, row, *, specials=SPECIALS, mask_specials=False, shares=(0.8, 0.1), replacement=False):
        """Chooses targets in a row and masks them: of the targets, `shares` become the mask or a random word."""
        ids, rng = row["ids"], self.rng
        candidates = [at for at, token in enumerate(ids) if mask_specials or token in self.all]
        count = max(1, round(rng.uniform(0.15, 0.35) * len(candidates)))
        drawn = rng.choices(candidates, k=count) if replacement else rng.sample(candidates, count)
        row["positions"] = sorted(drawn)
        row["targets"] = [ids[at] for at in row["positions"]]
        for at in sorted(set(drawn)):
            draw = rng.random()
            if draw < shares[0]:
                ids[at] = specials["mask"]
            elif draw < sum(shares):
                ids[at] = rng.choice(self.all)
        return row


def collate(rows, length, pad, segments):
    """Rows as one batch; positions become indices into the flattened batch."""
    batch = dict(rows=len(rows), len=length, lengths=[len(row["ids"]) for row in rows])
    padded = lambda key, value: [x for row in rows for x in row[key] + [value] * (length - len(row[key]))]
    flat = lambda lists: [at * length + position for at, positions in enumerate(lists) for position in positions]
    batch["input_ids"] = padded("ids", pad)
    batch["segment_ids"] = padded("segments", 0) if segments else []
    batch["target_positions"] = flat([row["positions"] for row in rows])
    batch["target_ids"] = [target for row in rows for target in row["targets"]]
    batch["relations"] = [row["relation"] for row in rows if "relation" in row]
    if "spans" in rows[0]:
        spans = {key: [row["spans"][key] for row in rows] for key in ["left", "right", "offset", "ids"]}
        batch["spans"] = dict(left=flat(spans["left"]), right=flat(spans["right"]))
        batch["spans"] |= {key: sum(spans[key], []) for key in ["offset", "ids"]}
    return batch


def tensors(batch):
    """A batch as tensors: what a network takes, by Transformers' names, and what its losses need."""
    shape = batch["rows"], batch["len"]
    mask = torch.arange(batch["len"]) < torch.tensor(batch["lengths"])[:, None]
    inputs = dict(input_ids=torch.tensor(batch["input_ids"]).view(shape), attention_mask=mask.long())
    if batch["segment_ids"]:
        inputs["token_type_ids"] = torch.tensor(batch["segment_ids"]).view(shape)
    long = lambda values: torch.tensor(values, dtype=torch.long)
    return types.SimpleNamespace(
        inputs=inputs, mask=mask, positions=long(batch["target_positions"]), targets=long(batch["target_ids"]),
        relations=long(batch["relations"]),
        spans=types.SimpleNamespace(**{key: long(values) for key, values in batch.get("spans", {}).items()}),
    )


def learning_rate(plan, t):
    """The rate of the update that follows `t` finished ones."""
    kind, warmup, total = plan["schedule"]["kind"], plan["schedule"]["warmup_steps"], plan["train"]["steps"]
    peak, warm = plan["optimizer"]["peak_learning_rate"], min(1.0, t / warmup) if warmup else 1.0
    if kind == "linear-times-warmup":  # google-research/electra, model/optimization.py
        return peak * (1 - t / total) * warm
    if t < warmup:
        return peak * warm
    if kind == "linear":  # fairseq, optim/lr_scheduler/polynomial_decay_schedule.py
        return peak * (1 - (t - warmup) / (total - warmup))
    if kind == "linear-from-start":  # google-research/bert and google-research/albert, optimization.py
        return peak * (1 - t / total)
    assert kind == "constant"
    return peak


def fairseq_adam(p, m, v, t, rate, settings, exempt):
    """fairseq, optim/adam.py: epsilon is added before the second moment's bias is corrected."""
    beta1, beta2 = settings["betas"]
    p -= (0.0 if exempt else settings["weight_decay"]) * rate * p
    p -= rate * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (v.sqrt() + settings["epsilon"])


def bert_adam(p, m, v, t, rate, settings, exempt):
    """google-research/bert, optimization.py: biases stay as they are, the decay is a part of the update."""
    p -= rate * (m / (v.sqrt() + settings["epsilon"]) + (0.0 if exempt else settings["weight_decay"]) * p)


def lamb(p, m, v, t, rate, settings, exempt):
    """google-research/albert, lamb_optimizer.py: BERT's update, as long as the weights; what is exempt stays BERT's."""
    update = m / (v.sqrt() + settings["epsilon"]) + (0.0 if exempt else settings["weight_decay"]) * p
    norms = p.norm().item(), update.norm().item()
    ratio = norms[0] / norms[1] if not exempt and min(norms) > 0 else 1.0
    p -= ratio * rate * update


class Stepper:
    """Updates a network's parameters by one of the rules, or by `torch.optim.AdamW`."""

    rules = {"fairseq-adam": fairseq_adam, "bert-adam": bert_adam, "lamb": lamb}

    def __init__(self, kind, parameters, settings):
        self.kind, self.settings = kind, settings
        self.parameters = {name: p for name, p in parameters.items() if p.requires_grad}
        self.state = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in self.parameters.items()}
        self.t = 0
        decay = lambda name: 0.0 if self.exempt(name) else settings["weight_decay"]
        groups = [dict(params=[p], weight_decay=decay(name)) for name, p in self.parameters.items()]
        self.adamw = torch.optim.AdamW(groups, betas=settings["betas"], eps=settings["epsilon"])

    def exempt(self, name):
        """As the originals do, by name: layer norms, and all biases, those of the vocabulary too."""
        return self.settings["decay_exempts_bias_and_norm"] and ("norm" in name.lower() or "bias" in name)

    @torch.no_grad()
    def step(self, rate):
        if self.kind == "adam-w":
            for group in self.adamw.param_groups:
                group["lr"] = rate
            return self.adamw.step()
        self.t += 1
        beta1, beta2 = self.settings["betas"]
        for name, p in self.parameters.items():
            m, v = self.state[name]
            m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
            v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
            self.rules[self.kind](p, m, v, self.t, rate, self.settings, self.exempt(name))


def shares(plan, micro_batches):
    """What the gradients of each micro-batch's mean loss count in a step."""
    targets, kind = [len(batch["target_ids"]) for batch in micro_batches], plan["objective"]["normaliser"]
    if kind == "group":  # The mean of the means.
        return [1 / len(targets) for _ in targets]
    if kind == "group-over-targets":  # SpanBERT's fairseq, trainer.py: divided by the number of masked tokens again.
        return [1 / sum(targets) for _ in targets]
    assert kind == "global"  # fairseq, trainer.py: the mean over all targets of the step.
    return [count / sum(targets) for count in targets]


def step(model, forward, plan, stepper, t, micro_batches):
    """The update that follows `t` finished ones; the losses of each micro-batch before it."""
    model.zero_grad()
    losses = []
    for share, batch in zip(shares(plan, micro_batches), micro_batches):
        total, terms, _ = forward(model, plan, batch)
        (share * total).backward()
        losses.append(numbers(total, terms))
    if plan["train"]["clip_norm"] > 0:
        torch.nn.utils.clip_grad_norm_(stepper.parameters.values(), plan["train"]["clip_norm"])
    stepper.step(learning_rate(plan, t))
    return losses


def train(model, forward, plan, kind, batches):
    """One update per batch; the losses before each."""
    stepper = Stepper(kind, dict(model.named_parameters()), plan["optimizer"])
    return [step(model, forward, plan, stepper, t, [batch])[0] for t, batch in enumerate(batches)]


def numbers(total, terms):
    return dict(total=total.item()) | {name: loss.item() for name, loss in terms.items()}


def restore(model, weights):
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])


def write(out, family, case, specials, optimizers, plan, network, rows, forward):
    torch.manual_seed(case.get("seed", 1))
    rng = random.Random(case.get("seed", 1))
    settings, model, words = plan(case), randomise(network(case), case), Words(rng, case["vocab"])
    segments, count = family not in ["roberta", "spanbert"], OVERLAY_STEPS if case.get("overlay") else 1
    batches = [collate(rows(case, words), case["max_len"], specials["pad"], segments) for _ in range(count)]
    # A parameter once, by its first name; that is the one under which Transformers saves a tied one.
    first = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = {f"weight.{name}": p for name, p in first.items()}
    total, terms, results = forward(model, settings, batches[0])
    total.backward()
    found |= {f"gradient.{name}": p.grad for name, p in model.named_parameters() if p.requires_grad}
    found |= {name: result.detach() for name, result in results.items()}
    found = {name: tensor.clone() for name, tensor in found.items()}
    for kind in optimizers:
        restore(model, first)
        train(model, forward, settings, kind, batches[:1] * UPDATES)
        found |= {f"{kind}.{name}": p.detach().clone() for name, p in model.named_parameters()}
    facts = dict(name=case["name"], family=family, config=toml(settings), vocab=dict(size=case["vocab"], **specials),
                 batches=batches, losses=numbers(total, terms), rule=dict(steps=UPDATES, optimizers=optimizers))
    if case.get("overlay"):
        restore(model, first)
        history = train(model, forward, settings, settings["optimizer"]["kind"], batches)
        series = {name: [losses[name] for losses in history] for name in history[0]}
        facts["overlay"] = dict(losses=series.pop("total"), terms=series)
    save_file({name: t.float().contiguous() for name, t in found.items()}, out / f"{case['name']}.safetensors")
    (out / f"{case['name']}.json").write_text(json.dumps(facts))


def main(family, cases, *, plan, network, rows, forward, optimizers, specials=SPECIALS):
    """Writes the files of all cases to the folder that the command line names."""
    out = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for case in cases:
        write(out, family, case, specials, optimizers, plan, network, rows, forward)
