"""A run of this project, trained by Transformers and PyTorch instead: `curves.py BATCHES HELD_OUT --seed N`.

BATCHES and HELD_OUT are what `crates/worker/examples/batches.rs` prints of one configuration, without and with
`--held-out`: the masked micro-batches in the order of the run's steps, and those that it is measured on. Network, losses
and updates are those that the tests compare with (`tests/reference`); first weights and dropout are drawn by PyTorch.
Prints JSON lines: the losses of each step, and `[evaluation]`'s every few steps and at the end. Knows nothing of this
project's own losses.
"""

import argparse
import importlib
import json
import pathlib
import sys
import tomllib

import torch
import transformers
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "reference"))

import common  # noqa: E402
import train_cpu  # noqa: E402

# What a family divides losses by where a configuration says nothing.
NORMALISERS = {"roberta": "global", "spanbert": "group-over-targets"}
# How many targets a loss is the mean of.
TARGETS = dict(
    mlm=lambda batch: len(batch["target_ids"]), nsp=lambda batch: len(batch["relations"]),
    sop=lambda batch: len(batch["relations"]), sbo=lambda batch: len(batch["spans"]["ids"]),
    rtd=lambda batch: sum(batch["lengths"]),
)


def opened(path):
    """The first line of a file of batches, and the others when they are wanted."""
    lines = open(path, encoding="utf-8")
    return json.loads(next(lines)), map(json.loads, lines)


def case_of(plan, vocabulary):
    """What the scripts of the families call a case."""
    tables = train_cpu.completed(plan)
    return tables["objective"] | tables["model"] | dict(vocab=vocabulary["size"])


def first_weights(model, family, std):
    """Draws them as the originals do, where Transformers draws from another distribution."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if family == "electra" and name.endswith(("embeddings_project.weight", "dense_prediction.weight")):
                # google-research/electra names no initializer for these two: TensorFlow's default.
                torch.nn.init.xavier_uniform_(p)
            elif family in ["bert", "albert", "electra"] and p.dim() == 2:
                # `truncated_normal_initializer` of their modeling.py.
                torch.nn.init.trunc_normal_(p, std=std, a=-2 * std, b=2 * std)


def drawn(logits):
    """Words by their probability: what argmax is after Gumbel noise (Clark et al. 2020, footnote 2)."""
    return torch.multinomial(logits.softmax(-1), 1).squeeze(-1)


def evaluate(model, forward, plan, batches):
    """Each held-out loss: the mean over all its targets."""
    sums, counts = {}, {}
    model.eval()
    with torch.no_grad():
        for batch in batches:
            _, terms, _ = forward(model, plan, batch)
            for name, loss in terms.items():
                count = TARGETS[name](batch)
                sums[name] = sums.get(name, 0.0) + loss.item() * count
                counts[name] = counts.get(name, 0) + count
    model.train()
    return {name: sums[name] / max(1, counts[name]) for name in sums}


def steps_of(plan, batches):
    """The micro-batches of each step."""
    count = plan["train"]["batch"] // plan["train"]["micro_batch"]
    for _ in range(plan["train"]["steps"]):
        yield [next(batches) for _ in range(count)]


def run(arguments):
    head, batches = opened(arguments.batches)
    plan = tomllib.loads(head["config"])
    if "phase" in plan or "batch_start" in plan["train"]:
        raise SystemExit("curves.py: runs of several phases, or whose batch grows, are not compared")
    held_out = list(opened(arguments.held_out)[1])
    plan["objective"].setdefault("normaliser", NORMALISERS.get(plan["model"]["family"], "group"))
    script = importlib.import_module(plan["model"]["family"])
    # The padding's id, and RoBERTa's first position with it, are those of the tokenizer.
    specials = {key: head["vocab"][key] for key in common.SPECIALS}
    for module in [common, script]:
        getattr(module, "SPECIALS", {}).update(specials)
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    case = case_of(plan, head["vocab"])
    model = script.network(case).train()
    if arguments.weights:
        common.restore(model, load_file(arguments.weights))
    else:
        first_weights(model, plan["model"]["family"], case["init_std"])
    forward = script.forward
    if plan["model"]["family"] == "electra":
        forward = lambda model, plan, batch: script.forward(model, plan, batch, drawn)
    stepper = common.Stepper(plan["optimizer"]["kind"], dict(model.named_parameters()), plan["optimizer"])
    say = lambda **facts: print(json.dumps(facts), flush=True)
    say(kind="start", parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__,
        transformers=transformers.__version__)
    for t, micro_batches in enumerate(steps_of(plan, batches)):
        losses = common.step(model, forward, plan, stepper, t, micro_batches)
        say(kind="step", step=t + 1, loss=sum(it["total"] for it in losses) / len(losses))
        if (t + 1) % plan["evaluation"]["every"] == 0 or t + 1 == plan["train"]["steps"]:
            say(kind="evaluation", step=t + 1, losses=evaluate(model, forward, plan, held_out))


def main():
    parser = argparse.ArgumentParser(description="A run, trained by Transformers and PyTorch.")
    parser.add_argument("batches")
    parser.add_argument("held_out")
    parser.add_argument("--weights", help="a safetensors file to begin with: of an exported model, say, after its first step, "
                                          "whose learning rate is 0")
    parser.add_argument("--seed", type=int, required=True, help="of the first weights and of dropout")
    transformers.utils.logging.set_verbosity_error()
    run(parser.parse_args())


if __name__ == "__main__":
    main()
