"""Training samples: token ids of one conversation each, and which of them the model is asked to predict.

A sample is a function of its seed and length alone, so training can stop and go on anywhere. Workers make samples ahead in
processes of their own.
"""
import multiprocessing
import os
import random

import numpy
import sentencepiece

from conversations import draw_conversation, template
from lexicon import use_pieces


class Encoder:
    def __init__(self, tokenizer_file):
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
        use_pieces(self.tokenizer.id_to_piece(i) for i in range(len(self.tokenizer)))
        self.template = template()
        self.start = self.tokenizer.piece_to_id("<|im_start|>")
        self.end = self.tokenizer.piece_to_id("<|im_end|>")
        self.assistant = self.tokenizer.encode("<|im_start|>assistant\n")

    def render(self, conversation):
        return self.template.render(messages=conversation.messages, tools=conversation.schemas(), add_generation_prompt=False)

    def sample(self, seed, length, context_weight=0.0):
        """(tokens, targets' weights): `length` + 1 tokens, and for each of the last `length` whether it is to be predicted."""
        tokens = numpy.empty(0, dtype=numpy.int64)
        attempt = 0
        while len(tokens) <= length:  # too short (rare): another conversation goes on the end
            text = self.render(draw_conversation(seed * 8 + attempt, length + 1 - len(tokens)))
            tokens = numpy.concatenate([tokens, numpy.array(self.tokenizer.encode(text), dtype=numpy.int64)])
            attempt += 1
        tokens = tokens[: length + 1]
        own = self._own(tokens)
        context = numpy.random.default_rng(seed).random(length) < context_weight
        return tokens, own[1:] | context

    def _own(self, tokens):
        """True for what the assistant writes, its end of turn included."""
        own = numpy.zeros(len(tokens), dtype=bool)
        n = len(self.assistant)
        for start in numpy.flatnonzero(tokens == self.start):
            if tokens[start : start + n].tolist() == self.assistant:
                ends = numpy.flatnonzero(tokens[start + n :] == self.end)
                own[start + n : start + n + (ends[0] + 1 if len(ends) else len(tokens))] = True
        return own


def _work(tokenizer_file, jobs, out):
    os.nice(1)
    encoder = Encoder(tokenizer_file)
    for length, seeds, context_weight in iter(jobs.get, None):
        samples = [encoder.sample(seed, length, context_weight) for seed in seeds]
        out.put((numpy.stack([tokens for tokens, _ in samples]), numpy.stack([wanted for _, wanted in samples])))


def batches(tokenizer_file, plan, first):
    """Yields (tokens [n, length + 1], wanted [n, length]) for the steps of `plan` ((length, n, context_weight) for each step) from step `first` on."""
    context = multiprocessing.get_context("spawn")
    jobs, out = context.Queue(), context.Queue(maxsize=4)
    worker = context.Process(target=_work, args=(tokenizer_file, jobs, out), daemon=True)
    worker.start()
    for step in range(first, len(plan)):
        length, n, context_weight = plan[step]
        jobs.put((length, [step * 64 + i for i in range(n)], context_weight))
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
