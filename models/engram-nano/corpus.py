"""Training samples: token ids of conversations, and which of them the model is asked to predict.

A sample is a function of its kind and seed alone, so training can stop and go on anywhere. Workers make samples ahead in
processes of their own.
"""
import multiprocessing
import os
import random
from dataclasses import dataclass

import numpy
import sentencepiece

from conversations import draw_conversation, template
from lexicon import use_pieces

# What the samples of a focused batch are mostly about, in turn; None: whatever comes.
FOCUSES = (None, "tool", "backward", "summary", "outside", "role", "tool", "update", "summary", "update")


class Encoder:
    def __init__(self, tokenizer_file):
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
        use_pieces(self.tokenizer.id_to_piece(i) for i in range(len(self.tokenizer)))
        self.template = template()
        self.start = self.tokenizer.piece_to_id("<|im_start|>")
        self.end = self.tokenizer.piece_to_id("<|im_end|>")
        self.assistant = self.tokenizer.encode("<|im_start|>assistant\n")
        self.close = self.tokenizer.encode("<|im_end|>\n")  # what ends a message

    def render(self, conversation):
        return self.template.render(messages=conversation.messages, tools=conversation.schemas(), add_generation_prompt=False)

    def tokens(self, conversation):
        return self.tokenizer.encode(self.render(conversation))

    def own(self, tokens):
        """True for what the assistant writes, its end of turn included."""
        own = numpy.zeros(len(tokens), dtype=bool)
        n = len(self.assistant)
        for start in numpy.flatnonzero(tokens == self.start):
            if tokens[start : start + n].tolist() == self.assistant:
                ends = numpy.flatnonzero(tokens[start + n :] == self.end)
                own[start + n : start + n + (ends[0] + 1 if len(ends) else len(tokens))] = True
        return own


@dataclass(frozen=True)
class Batch:
    """What one step learns from. A middle stands, its rows one behind the other, between the first `seam` tokens of each sample and the others."""
    tokens: numpy.ndarray  # [n, length + 1]
    wanted: numpy.ndarray  # [n, length]: whether each token but the first is to be predicted
    middle: numpy.ndarray | None = None  # [rows, tokens]
    seam: int = 0


@dataclass(frozen=True)
class Whole:
    """A kind of sample: whole conversations."""
    length: int
    n: int
    context_weight: float = 0.0  # share of the tokens that aren't the model's own (users', tools') which it learns to predict too
    focused: bool = False  # every other one on what needs it (draw_conversation)

    def draw(self, encoder, seed):
        samples = [self._sample(encoder, seed * 64 + i, FOCUSES[(seed * self.n + i) % len(FOCUSES)] if self.focused else None) for i in range(self.n)]
        return Batch(numpy.stack([tokens for tokens, _ in samples]), numpy.stack([wanted for _, wanted in samples]))

    def _sample(self, encoder, seed, focus):
        tokens = numpy.empty(0, dtype=numpy.int64)
        attempt = 0
        while len(tokens) <= self.length:  # too short (rare): another conversation goes on the end
            conversation = draw_conversation(seed * 8 + attempt, self.length + 1 - len(tokens), focus=focus)
            tokens = numpy.concatenate([tokens, numpy.array(encoder.tokens(conversation), dtype=numpy.int64)])
            attempt += 1
        tokens = tokens[: self.length + 1]
        context = numpy.random.default_rng(seed).random(self.length) < self.context_weight
        return tokens, encoder.own(tokens)[1:] | context


def _work(tokenizer_file, jobs, out):
    os.nice(1)
    encoder = Encoder(tokenizer_file)
    for kind, seed in iter(jobs.get, None):
        out.put(kind.draw(encoder, seed))


def batches(tokenizer_file, plan, first):
    """Yields what each step of `plan` (Whole or Far) draws, from step `first` on."""
    context = multiprocessing.get_context("spawn")
    jobs, out = context.Queue(), context.Queue(maxsize=4)
    worker = context.Process(target=_work, args=(tokenizer_file, jobs, out), daemon=True)
    worker.start()
    for step in range(first, len(plan)):
        jobs.put((plan[step], step))
    jobs.put(None)
    for _ in range(first, len(plan)):
        yield out.get()
    worker.join()


def write_text(path, n, length):
    """Plain text of `n` conversations, one line each, for the tokenizer's training."""
    jinja = template()
    lengths = random.Random(1)
    with open(path, "w") as file:
        for seed in range(n):
            conversation = draw_conversation(-1 - seed, lengths.choice((length // 2, length)))
            file.write(jinja.render(messages=conversation.messages, tools=conversation.schemas()).replace("\n<|im_start|>", "<|im_start|>") + "\n")
