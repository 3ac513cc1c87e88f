"""Trains the vocabulary: byte-pair pieces by SentencePiece, single digits, bytes for what it has never seen.

usage: tokenizer.py OUT_FOLDER
"""
import sys
from pathlib import Path

import sentencepiece

import corpus

N_PIECES = 3072
CONTROL = ["<|im_start|>", "<|im_end|>"]
VISIBLE = ["<tool_call>", "</tool_call>", "<tools>", "</tools>"]


def train(folder):
    text = folder / "tokenizer_corpus.txt"
    corpus.write_text(text, 4000, 600)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=N_PIECES, character_coverage=1.0,
        byte_fallback=True, split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        user_defined_symbols=CONTROL + VISIBLE, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, max_sentence_length=1 << 20, num_threads=2, minloglevel=1)
    text.unlink()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
