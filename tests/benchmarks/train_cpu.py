"""Hugging Face Transformers, eager, on one training step: `train_cpu.py CONFIG [--vocab N] [--steps N] [key=value]...`.

The peer of `crates/trainer/examples/speed.rs`: takes the same configuration and settings, makes the same network without
pretrained weights, and prints the same facts as JSON, on batches of the same shape. `train_cpu.py --peak [--threads N]`
prints how fast a large matrix product is instead. `curves.py` takes the same values for what a configuration leaves
open. Knows nothing of this project's own times.
"""

import argparse
import json
import statistics
import sys
import time
import tomllib

import torch
import transformers
from torch import nn

# What a family takes where a configuration says nothing, as in this project.
DEFAULTS = dict(feed_forward=None, max_positions=512, init_std=0.02, dropout=0.1, attention_dropout=0.1,
                layer_norm_epsilon=1e-12, activation="gelu-tanh")
FAMILY_DEFAULTS = dict(
    bert={},
    roberta=dict(layer_norm_epsilon=1e-5, activation="gelu"),
    spanbert=dict(activation="gelu"),
    electra=dict(activation="gelu", generator_hidden=0.25, generator_layers=1.0, share="embeddings"),
    albert=dict(dropout=0.0, attention_dropout=0.0, embedding=128, share="all", groups=1, inner_groups=1),
)
# `gelu_new`, the same function, is made of seven operators there; this is the fastest that Transformers has for it.
ACTIVATIONS = {"gelu": "gelu", "gelu-tanh": "gelu_pytorch_tanh"}
# Ids below are special tokens, and the last one of a vocabulary is the mask.
FIRST_ORDINARY = 5
PAD = 1
IGNORED = -100
# Matrix products of this many rows and columns measure the machine, the best of some.
PEAK_SIZE = 2048
PEAK_TRIES = 6


def configuration(path, settings):
    """A run's configuration: what holds in its first phase, with settings on top."""
    with open(path, "rb") as file:
        tables = tomllib.load(file)
    for name, table in next(iter(tables.pop("phase", [])), {}).items():
        tables[name] = tables.get(name, {}) | table
    for setting in settings:
        path, value = setting.split("=", 1)
        section, key = path.strip().split(".")
        try:
            value = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            pass  # A bare word is meant as a string.
        tables.setdefault(section, {})[key] = value
    return completed(tables)


def completed(tables):
    """A configuration with what it leaves to the family."""
    tables = dict(tables)
    tables["model"] = DEFAULTS | FAMILY_DEFAULTS[tables["model"]["family"]] | tables["model"]
    model = tables["model"]
    model["feed_forward"] = model["feed_forward"] or 4 * model["hidden"]
    tables["objective"] = dict(max_len=512, mask_rate=0.15) | tables["objective"]
    tables["train"] = dict(threads=1, precision="fp32") | tables["train"]
    return tables


def shared_settings(model, vocabulary):
    """What all configurations of Transformers have."""
    return dict(
        vocab_size=vocabulary, hidden_size=model["hidden"], num_hidden_layers=model["layers"],
        num_attention_heads=model["heads"], intermediate_size=model["feed_forward"],
        hidden_act=ACTIVATIONS[model["activation"]], hidden_dropout_prob=model["dropout"],
        attention_probs_dropout_prob=model["attention_dropout"], layer_norm_eps=model["layer_norm_epsilon"],
        max_position_embeddings=model["max_positions"], initializer_range=model["init_std"], pad_token_id=PAD,
        type_vocab_size=2, attn_implementation="eager",
    )


class Bert(nn.Module):
    """Masked words and the next sentence."""

    def __init__(self, model, vocabulary):
        super().__init__()
        config = transformers.BertConfig(**shared_settings(model, vocabulary))
        self.network = transformers.BertForPreTraining(config)
        self.encoders = [encoder_shape(model)]

    def forward(self, batch):
        return self.network(input_ids=batch["masked"], token_type_ids=batch["segments"], labels=batch["labels"],
                            next_sentence_label=batch["relations"]).loss


class Roberta(nn.Module):
    """Masked words."""

    def __init__(self, model, vocabulary):
        super().__init__()
        # Positions count from the padding's id + 1, and there is one segment.
        settings = dict(max_position_embeddings=model["max_positions"] + PAD + 1, type_vocab_size=1)
        config = transformers.RobertaConfig(**shared_settings(model, vocabulary) | settings)
        self.network = transformers.RobertaForMaskedLM(config)
        # Without segments their table is never trained: fairseq has none.
        self.network.roberta.embeddings.token_type_embeddings.weight.requires_grad_(False)
        self.encoders = [encoder_shape(model)]

    def forward(self, batch):
        return self.network(input_ids=batch["masked"], labels=batch["labels"]).loss


class Albert(nn.Module):
    """Masked words and the order of sentences."""

    def __init__(self, model, vocabulary):
        super().__init__()
        if model["share"] != "all":
            raise SystemExit("albert: only share = \"all\" is measured")
        config = transformers.AlbertConfig(
            **shared_settings(model, vocabulary), embedding_size=model["embedding"], classifier_dropout_prob=0.0,
            num_hidden_groups=model["groups"], inner_group_num=model["inner_groups"])
        self.network = transformers.AlbertForPreTraining(config)
        self.encoders = [encoder_shape(model)]

    def forward(self, batch):
        return self.network(input_ids=batch["masked"], token_type_ids=batch["segments"], labels=batch["labels"],
                            sentence_order_label=batch["relations"]).loss


class Electra(nn.Module):
    """A generator of masked words, and a discriminator of what it put there (Clark et al. 2020, §3.1): the loss is the
    generator's plus 50 times the discriminator's."""

    def __init__(self, model, vocabulary):
        super().__init__()
        if model["share"] != "embeddings":
            raise SystemExit("electra: only share = \"embeddings\" is measured")
        # `get_generator_config` of google-research/electra: a narrower encoder with heads of 64.
        hidden = round(model["generator_hidden"] * model["hidden"])
        narrow = model | dict(hidden=hidden, layers=round(model["generator_layers"] * model["layers"]),
                              heads=max(1, hidden // 64), feed_forward=4 * hidden)
        embedding = model.get("embedding", model["hidden"])
        config = lambda model: transformers.ElectraConfig(**shared_settings(model, vocabulary), embedding_size=embedding)
        self.generator = transformers.ElectraForMaskedLM(config(narrow))
        self.discriminator = transformers.ElectraForPreTraining(config(model))
        self.discriminator.electra.embeddings = self.generator.electra.embeddings
        self.encoders = [encoder_shape(narrow | dict(embedding=embedding)),
                         encoder_shape(model | dict(embedding=embedding))]

    def forward(self, batch):
        predicted = self.generator(input_ids=batch["masked"], token_type_ids=batch["segments"], labels=batch["labels"])
        hidden = batch["labels"] != IGNORED
        with torch.no_grad():
            drawn = torch.multinomial(predicted.logits[hidden].float().softmax(-1), 1).squeeze(-1)
            replaced = batch["ids"].masked_scatter(hidden, drawn)
            wrong = (replaced != batch["ids"]).long()
        detected = self.discriminator(input_ids=replaced, token_type_ids=batch["segments"], labels=wrong)
        return predicted.loss + 50.0 * detected.loss


NETWORKS = dict(bert=Bert, roberta=Roberta, electra=Electra, albert=Albert)


def encoder_shape(model):
    """The sizes that decide how much an encoder multiplies."""
    return dict(layers=model["layers"], hidden=model["hidden"], feed_forward=model["feed_forward"],
                embedding=model.get("embedding", model["hidden"]))


def micro_batch(rows, length, vocabulary, mask_rate):
    """Full sequences of random words, a share of them masked: nothing is padding, so no attention mask is needed."""
    ids = torch.randint(FIRST_ORDINARY, vocabulary - 1, (rows, length))
    hidden = torch.rand(rows, length).argsort(dim=1) < round(mask_rate * length)
    segments = (torch.arange(length) >= length // 2).long().expand(rows, length).contiguous()
    return dict(ids=ids, masked=ids.masked_fill(hidden, vocabulary - 1), labels=ids.masked_fill(~hidden, IGNORED),
                segments=segments, relations=torch.arange(rows) % 2)


def step(network, optimizer, batches, precision):
    """Seconds of a whole step and of its update, and the loss."""
    begun = time.perf_counter()
    optimizer.zero_grad()
    total = 0.0
    for batch in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = network(batch) / len(batches)
        loss.backward()
        total += loss.item()
    computed = time.perf_counter()
    optimizer.step()
    ended = time.perf_counter()
    return ended - begun, ended - computed, total


def peak_bytes():
    """The most memory that this process has had; Linux only."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def versions():
    return dict(python=sys.version.split()[0], torch=torch.__version__, transformers=transformers.__version__)


def measure(arguments):
    tables = configuration(arguments.config, arguments.settings)
    model, train, objective = tables["model"], tables["train"], tables["objective"]
    torch.set_num_threads(train["threads"])
    torch.manual_seed(1)
    network = NETWORKS[model["family"]](model, arguments.vocab).train()
    optimizer = tables["optimizer"]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    # The loop over tensors that is the default on CPUs is slower; Transformers' own trainer takes the fused update too.
    adam = torch.optim.AdamW(trained, lr=optimizer["peak_learning_rate"] * 1e-3, betas=tuple(optimizer["betas"]),
                             eps=optimizer["epsilon"], weight_decay=optimizer["weight_decay"], fused=True)
    rows, length = train["micro_batch"], objective["max_len"]
    make = lambda: micro_batch(rows, length, arguments.vocab, objective["mask_rate"])
    batches = [make() for _ in range(train["batch"] // rows)]
    # The first step allocates the optimizer's state and is not counted.
    steps = [step(network, adam, batches, train["precision"]) for _ in range(arguments.steps + 1)][1:]
    tokens = rows * length * len(batches)
    return dict(
        tokens_per_second=tokens / statistics.median_high(seconds for seconds, _, _ in steps),
        step_seconds=[seconds for seconds, _, _ in steps], update_seconds=[update for _, update, _ in steps],
        parameters=sum(parameter.numel() for parameter in network.parameters()), peak_bytes=peak_bytes(),
        threads=torch.get_num_threads(), precision=train["precision"], batch=train["batch"], micro_batch=rows,
        length=length, vocabulary=arguments.vocab, loss=steps[-1][2], versions=versions(),
        shape=dict(length=length, vocabulary=arguments.vocab, mask_rate=objective["mask_rate"],
                   encoders=network.encoders),
    )


def peak(threads):
    """GFLOP/s of a product of two square matrices: the best of some tries, for each precision, with the faster one of
    the libraries that PyTorch brings along. Its own products of floats are MKL's, which is slower than oneDNN on
    processors that are not Intel's."""
    torch.set_num_threads(threads)
    products = dict(default=lambda x, weight: torch.nn.functional.linear(x, weight))
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        products["oneDNN"] = lambda x, weight: torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    results, by = {}, {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(PEAK_SIZE, PEAK_SIZE).to(kind) for _ in range(2))
        seconds = {library: min(timed(product, left, right) for _ in range(PEAK_TRIES))
                   for library, product in products.items()}
        by[name] = {library: 2 * PEAK_SIZE**3 / best / 1e9 for library, best in seconds.items()}
        results[name] = max(by[name].values())
    return dict(gflops=results, by=by, threads=torch.get_num_threads(), size=PEAK_SIZE, versions=versions())


def timed(function, *arguments):
    """How long a call takes, in seconds."""
    begun = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description="One training step of Hugging Face Transformers, eager.")
    parser.add_argument("config", nargs="?")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--vocab", type=int, default=30522)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--peak", action="store_true")
    parser.add_argument("--threads", type=int, default=2, help="of --peak; a step has train.threads")
    arguments = parser.parse_intermixed_args()
    if not arguments.peak and (arguments.config is None or arguments.steps < 1):
        parser.error("give a configuration, and at least one step")
    transformers.utils.logging.set_verbosity_error()
    print(json.dumps(peak(arguments.threads) if arguments.peak else measure(arguments)))


if __name__ == "__main__":
    main()
