"""What Hugging Face Transformers and SentencePiece make of texts, for `tokenizers.rs`.

Reads requests from stdin, one JSON object per line: `kind`, `files`, `lowercase` and `texts`; writes a JSON list of
token ids per text, one line per request. No special tokens are added, and text never becomes one. Kinds and files:

- bert: vocab.txt
- roberta: encoder.json, vocab.bpe, dict.txt
- albert: spiece.model, by Transformers. Not `from_pretrained`, which since version 5 takes the symbols defined by the
  user (quotes, full stops, hyphens) for added tokens, and begins a new word behind each ("a-b" as "a", "-", "▁b").
  Google's ALBERT does not, nor does the tokenizer.json of albert-base-v2, which this is the same as.
- albert-google: spiece.model, by SentencePiece and Google's rules (`tokenization.py` of google-research/albert)
- folder: a folder with a tokenizer.json
"""

import functools
import json
import sys
import unicodedata

sys.path.pop(0)  # This file's folder: `tokenizers` is the package.

from transformers import AlbertTokenizerFast, BertTokenizerFast, PreTrainedTokenizerFast, RobertaTokenizerFast


def fast(tokenizer):
    tokenizer._tokenizer.encode_special_tokens = True
    return lambda texts: [encoding.ids for encoding in
                          tokenizer._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def bert(lowercase, vocab):
    with open(vocab, encoding="utf-8") as file:
        ids = {line.rstrip("\n"): number for number, line in enumerate(file)}
    return fast(BertTokenizerFast(vocab=ids, do_lower_case=lowercase))


def roberta(_, encoder, merges, dictionary):
    with open(encoder, encoding="utf-8") as file:
        gpt2 = {str(number): token for token, number in json.load(file).items()}
    with open(dictionary, encoding="utf-8") as file:
        symbols = [line.split(" ")[0] for line in file]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(gpt2.get(symbol, symbol) for symbol in symbols), "<mask>"]
    with open(merges, encoding="utf-8") as file:
        pairs = [tuple(line.split()) for line in file if line.strip() and not line.startswith("#version")]
    vocab = {token: number for number, token in enumerate(tokens)}
    return fast(RobertaTokenizerFast(vocab=vocab, merges=pairs))


def albert(lowercase, model):
    from transformers.convert_slow_tokenizer import check_number_comma, import_protobuf

    with open(model, "rb") as file:
        proto = import_protobuf().ModelProto.FromString(file.read())
    vocab = [(p.piece, p.score if check_number_comma(p.piece) else p.score - 100) for p in proto.pieces]
    charsmap = proto.normalizer_spec.precompiled_charsmap
    return fast(AlbertTokenizerFast(vocab=vocab, do_lower_case=lowercase, _spm_precompiled_charsmap=charsmap))


def albert_google(lowercase, model):
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=model)

    def encode(text):
        text = " ".join(text.split()).replace("``", '"').replace("''", '"')
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        pieces = []
        for piece in sp.encode(text.lower() if lowercase else text, out_type=str):
            if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
                # Numbers have no commas.
                number = sp.encode(piece[:-1].replace("▁", ""), out_type=str)
                if piece[0] != "▁" and number[0][0] == "▁":
                    number = number[1:] if len(number[0]) == 1 else [number[0][1:], *number[1:]]
                pieces += [*number, ","]
            else:
                pieces.append(piece)
        return [sp.piece_to_id(piece) for piece in pieces]

    return lambda texts: [encode(text) for text in texts]


def folder(_, path):
    return fast(PreTrainedTokenizerFast.from_pretrained(path))


@functools.cache
def encoder(kind, files, lowercase):
    makers = {"bert": bert, "roberta": roberta, "albert": albert, "albert-google": albert_google, "folder": folder}
    return makers[kind](lowercase, *files)


for line in sys.stdin:
    request = json.loads(line)
    encode = encoder(request["kind"], tuple(request["files"]), request["lowercase"])
    print(json.dumps(encode(request["texts"])), flush=True)
