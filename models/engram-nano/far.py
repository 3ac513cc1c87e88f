"""Samples whose questions lie far from what they ask for: beginnings in which facts are told, ends in which they are asked for, and between
them a middle that all have in common. The middle is read once and not learned from (model.py), so that questions across 7,000 tokens cost a
fraction of what they do in whole conversations.
"""
import random
import re
from dataclasses import dataclass

import numpy

import roles
from conversations import CHARS_PER_TOKEN, Conversation, segment
from corpus import Batch
from facts import Subjects, ask, statement
from lexicon import Lexicon

BACKWARD = 0.7  # of the facts of the beginnings: told value first is what is recalled worst
ONE_POOL = 0.85  # of the samples: beginnings and middle are about the same subjects, and differ in what is told of which


@dataclass(frozen=True)
class Far:
    """A kind of sample; sizes in tokens."""
    n_rows: int  # of the middle, which are conversations of their own
    n: int = 8
    n_beginning: int = 512
    n_row: int = 1792
    n_end: int = 320

    def draw(self, encoder, seed):
        random_ = random.Random(f"far {seed}")
        few = random_.random()  # the same words in all of it
        pool = Subjects(Lexicon(random_, few=few), random_.randint(14, 30)) if random_.random() < ONE_POOL else None
        rows, there, taken = [], {}, set()
        for _ in range(self.n_rows):
            conversation = _conversation(Lexicon(random.Random(random_.random()), few=few), pool, random_.randint(3, 14), taken)
            tokens, told = _cut(encoder, conversation, self.n_row, (random_.choice((2, 5, 8)), 3, random_.choice((0, 1, 3))))
            rows.append(tokens)
            there |= told
            taken = taken | conversation.told.keys() | conversation.unknown
        tokens = numpy.array([self._sample(encoder, random_, pool, few, there, taken) for _ in range(self.n)], dtype=numpy.int64)
        wanted = numpy.stack([encoder.own(sample)[1:] for sample in tokens])
        wanted[:, self.n_beginning - len(encoder.close) - 1] = False  # the cut's end isn't the assistant's
        return Batch(tokens, wanted, numpy.array(rows, dtype=numpy.int64), self.n_beginning)

    def _sample(self, encoder, random_, pool, few, there, taken):
        lexicon = Lexicon(random.Random(random_.random()), backward=BACKWARD, few=few)
        role = roles.draw_role(lexicon) if lexicon.chance(0.5) else None
        beginning = _conversation(lexicon, pool, random_.randint(3, 8), taken, role)
        tokens, here = _cut(encoder, beginning, self.n_beginning, (random_.choice((3, 8)), 3, 2))
        end = Conversation(lexicon)
        end.subjects, end.taken = beginning.subjects, taken | beginning.told.keys()
        left = []
        while end.n_chars < (self.n_end + 40) * CHARS_PER_TOKEN:
            kind = random_.choices(("here", "there", "unknown", "report"), (64 if here else 0, 20 if there else 0, 10, 6))[0]
            if kind == "here":
                left = left or random_.sample(list(here), len(here))
                _ask(end, left.pop(), here)
            elif kind == "there":
                _ask(end, random_.choice(list(there)), there)
            elif kind == "report":
                end.report(random_.randint(1, 3))
            else:
                end.ask_unknown()
        asked = encoder.tokens(end)
        while len(asked) <= self.n_end:  # too short (rare): the same again
            asked = asked + asked
        return tokens + asked[: self.n_end + 1]


def _conversation(lexicon, pool, n_subjects, taken, role=None):
    conversation = Conversation(lexicon, role, n_subjects=n_subjects)
    conversation.taken = taken
    if pool:
        conversation.subjects = pool.of(lexicon)
    return conversation


def _ask(conversation, key, facts):
    conversation.exchange(ask(conversation.lexicon, key), statement(key, facts[key]))


def _cut(encoder, conversation, n_tokens, weights):
    """The first n_tokens of the conversation, which is made as long as that (weights: of telling, reporting, and whatever comes), the last
    message ended; and the facts that stand in them."""
    lexicon = conversation.lexicon
    n_chars = n_tokens * CHARS_PER_TOKEN
    while True:
        while conversation.n_chars < n_chars:
            kind = lexicon.random.choices(("tell", "report", "any"), weights)[0]
            if kind == "tell":
                conversation.tell_facts(lexicon.choice((1, 1, 2, 3)), lexicon.chance(0.1))
            elif kind == "report":
                conversation.report(lexicon.random.randint(1, 10))
            else:
                segment(conversation)
        tokens = encoder.tokens(conversation)
        if len(tokens) >= n_tokens:
            break
        n_chars *= 1.1
    tokens = tokens[: n_tokens - len(encoder.close)]
    text = encoder.tokenizer.decode(tokens).lower()
    return tokens + encoder.close, {key: value for key, value in conversation.told.items() if _stands(value, text) and _stands(key.asked(), text)}


def _stands(words, text):
    return re.search(rf"(?<!\w){re.escape(words.lower())}(?!\w)", text) is not None
