"""Trains the vocabulary: byte-pair pieces by SentencePiece, single digits, bytes for what it has never seen.

usage: tokenizer.py OUT_FOLDER
"""
import re
import sys
from pathlib import Path

import sentencepiece

import corpus

N_PIECES = 2048
CONTROL = ["<|im_start|>", "<|im_end|>"]
VISIBLE = ["<tool_call>", "</tool_call>", "<tools>", "</tools>"]


def train(folder):
    text = folder / "tokenizer_corpus.txt"
    corpus.write_text(text, 4000, 600)
    # A space never joins a capital letter: names and code words have the same pieces after a space, a quote or a line's start, so
    # that copying one into a tool call is copying its tokens. Any symbol that always stands alone keeps the two apart.
    text.write_text(re.sub(" (?=[A-Z])", f" {VISIBLE[0]}", text.read_text()))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=N_PIECES, character_coverage=1.0,
        byte_fallback=True, split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        user_defined_symbols=CONTROL + VISIBLE, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, max_sentence_length=1 << 20, num_threads=2, minloglevel=1)
    text.unlink()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
