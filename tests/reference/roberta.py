"""What Hugging Face Transformers and PyTorch make of a few small RoBERTas: written to the folder OUT for `reference.rs`.

Per case: settings, first weights, a batch with padded rows, loss, logits at the masked positions, all gradients, and the
weights after three updates by `torch.optim.AdamW` and by fairseq's Adam. Dropout is off: masks cannot be compared.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import RobertaConfig, RobertaForMaskedLM

PAD = 1
STEPS = 3
LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY = 1e-3, (0.9, 0.98), 1e-6, 0.01

# Odd on purpose: nothing is a multiple of what kernels like. `lengths` below max_len are padded rows.
CASES = [
    dict(name="odd", layers=3, hidden=48, heads=3, feed_forward=100, vocab=211, max_len=37, max_positions=40,
         lengths=[37, 20, 5, 36]),
    dict(name="full", layers=1, hidden=30, heads=5, feed_forward=7, vocab=97, max_len=16, max_positions=16,
         lengths=[16, 16]),
    dict(name="single", layers=2, hidden=64, heads=4, feed_forward=256, vocab=500, max_len=64, max_positions=512,
         lengths=[3]),
    dict(name="many", layers=2, hidden=20, heads=1, feed_forward=33, vocab=77, max_len=9, max_positions=11,
         lengths=[9, 8, 7, 6, 5, 4, 3]),
]


def network(case):
    config = RobertaConfig(
        vocab_size=case["vocab"], hidden_size=case["hidden"], num_hidden_layers=case["layers"],
        num_attention_heads=case["heads"], intermediate_size=case["feed_forward"],
        max_position_embeddings=case["max_positions"] + PAD + 1, type_vocab_size=1, layer_norm_eps=1e-5,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=PAD, bos_token_id=0, eos_token_id=2,
    )
    config._attn_implementation = "eager"
    model = RobertaForMaskedLM(config).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Larger than at the start of a training, and no zeros: a swapped or forgotten tensor must show.
            parameter.copy_(torch.randn_like(parameter) * 0.15 + (1.0 if "orm.weight" in name else 0.0))
    # RoBERTa has no segments; the row is added, and not trained.
    model.roberta.embeddings.token_type_embeddings.weight.requires_grad_(False)
    return model


def batch(case):
    rows, length = len(case["lengths"]), case["max_len"]
    ids = torch.full((rows, length), PAD)
    labels = torch.full((rows, length), -100)
    for row, tokens in enumerate(case["lengths"]):
        ids[row, :tokens] = torch.randint(5, case["vocab"], (tokens,))
        ids[row, 0], ids[row, tokens - 1] = 0, 2
        masked = torch.rand(tokens) < 0.3
        masked[row % tokens] = True
        labels[row, :tokens][masked] = torch.randint(0, case["vocab"], (int(masked.sum()),))
        ids[row, :tokens][masked] = 4
    return ids, labels


def run(model, ids, labels):
    model.zero_grad()
    out = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels)
    out.loss.backward()
    return out


def trained(model):
    """Every parameter once, by the name under which it is saved."""
    return {name: p for name, p in model.named_parameters() if not name.startswith("lm_head.decoder.")}


class FairseqAdam(torch.optim.Optimizer):
    """fairseq's `optim/adam.py`, written down again from its update rule."""

    @torch.no_grad()
    def step(self):
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            state = self.state[p]
            t = state["t"] = state.get("t", 0) + 1
            m = state["m"] = BETAS[0] * state.get("m", 0.0) + (1 - BETAS[0]) * p.grad
            v = state["v"] = BETAS[1] * state.get("v", 0.0) + (1 - BETAS[1]) * p.grad**2
            rate = LEARNING_RATE * (1 - BETAS[1] ** t) ** 0.5 / (1 - BETAS[0] ** t)
            p -= WEIGHT_DECAY * LEARNING_RATE * p
            p -= rate * m / (v.sqrt() + EPSILON)


def optimizers():
    adamw = dict(lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY)
    yield "adam-w", lambda parameters: torch.optim.AdamW(parameters, **adamw)
    yield "fairseq-adam", lambda parameters: FairseqAdam(parameters, {})


def main(out):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        model, (ids, labels) = network(case), batch(case)
        first = {name: p.detach().clone() for name, p in trained(model).items()}
        tensors = {f"weight.{name}": p for name, p in first.items()}
        result = run(model, ids, labels)
        tensors |= {f"gradient.{name}": p.grad.clone() for name, p in trained(model).items() if p.grad is not None}
        tensors["logits"] = result.logits[labels != -100].detach().clone()
        for kind, optimizer in optimizers():
            with torch.no_grad():
                for name, p in trained(model).items():
                    p.copy_(first[name])
            stepper = optimizer([p for p in trained(model).values() if p.requires_grad])
            for _ in range(STEPS):
                run(model, ids, labels)
                stepper.step()
            tensors |= {f"{kind}.{name}": p.detach().clone() for name, p in trained(model).items()}
        save_file({name: t.contiguous() for name, t in tensors.items()}, out / f"{case['name']}.safetensors")
        rule = dict(steps=STEPS, learning_rate=LEARNING_RATE, betas=BETAS, epsilon=EPSILON, weight_decay=WEIGHT_DECAY)
        facts = dict(case, rule=rule, loss=result.loss.item(), ids=ids.tolist(), labels=labels.tolist())
        (out / f"{case['name']}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
