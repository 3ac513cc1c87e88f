"""Samples whose questions lie far from what they ask for: beginnings in which facts are told, ends in which they are asked for, and between
them a middle that all have in common. The middle is read and not learned from (model.py), so that a question across 7,000 tokens costs a
tenth of what it does in a whole conversation.
"""
import random
from dataclasses import dataclass

import numpy

import roles
from conversations import CHARS_PER_TOKEN, Conversation, segment
from corpus import Batch
from facts import ask, dont_know, statement
from lexicon import Lexicon

BACKWARD = 0.65  # of the facts of the beginnings: told value first is what is recalled worst


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
        rows, there, twice = [], {}, set()  # there: what the middle tells; the value is None where it was cut off
        for _ in range(self.n_rows):
            conversation = Conversation(Lexicon(random.Random(random_.random())), n_subjects=random_.randint(3, 14))
            _fill(conversation, self.n_row, (random_.choice((2, 5, 8)), 3, random_.choice((0, 1, 3))))
            tokens, told = _cut(encoder, conversation, self.n_row)
            rows.append(tokens)
            twice |= conversation.told.keys() & there.keys()
            there |= {key: told.get(key) for key in conversation.told}
        for key in twice:
            there[key] = None
        samples = [self._sample(encoder, random_, there) for _ in range(self.n)]
        tokens = numpy.array(samples, dtype=numpy.int64)
        wanted = numpy.stack([encoder.own(sample)[1:] for sample in tokens])
        return Batch(tokens, wanted, numpy.array(rows, dtype=numpy.int64), self.n_beginning)

    def _sample(self, encoder, random_, there):
        lexicon = Lexicon(random.Random(random_.random()), backward=BACKWARD)
        role = roles.draw_role(lexicon) if lexicon.chance(0.5) else None
        beginning = Conversation(lexicon, role, n_subjects=random_.randint(3, 8))
        _fill(beginning, self.n_beginning, (random_.choice((3, 8)), 3, 2))
        tokens, told = _cut(encoder, beginning, self.n_beginning)
        here = {key: value for key, value in told.items() if key not in there}
        elsewhere = {key: value for key, value in there.items() if value and key not in beginning.told}
        end, left = Conversation(lexicon), []
        while end.n_chars < (self.n_end + 40) * CHARS_PER_TOKEN:
            kind = random_.choices(("here", "there", "unknown", "report"), (64 if here else 0, 20 if elsewhere else 0, 10, 6))[0]
            if kind == "here":
                left = left or random_.sample(list(here), len(here))
                key = left.pop()
                end.exchange(ask(lexicon, key), statement(key, here[key]))
            elif kind == "there":
                key = random_.choice(list(elsewhere))
                end.exchange(ask(lexicon, key), statement(key, elsewhere[key]))
            elif kind == "report":
                end.report(random_.randint(1, 3))
            else:
                key, _ = beginning.subjects.draw()
                if key not in beginning.told and key not in there:
                    end.exchange(ask(lexicon, key), dont_know(key))
        asked = encoder.tokens(end)
        while len(asked) <= self.n_end:  # too short (rare): the same again
            asked = asked + asked
        return tokens + asked[: self.n_end + 1]


def _fill(conversation, n_tokens, weights):
    lexicon = conversation.lexicon
    while conversation.n_chars < n_tokens * CHARS_PER_TOKEN:
        kind = lexicon.random.choices(("tell", "report", "any"), weights)[0]
        if kind == "tell":
            conversation.tell_facts(lexicon.choice((1, 1, 2, 3)), lexicon.chance(0.1))
        elif kind == "report":
            conversation.report(lexicon.random.randint(1, 10))
        else:
            segment(conversation)


def _cut(encoder, conversation, n_tokens):
    """The conversation's first n_tokens, the last message ended; and the facts that stand in them."""
    while len(tokens := encoder.tokens(conversation)) < n_tokens:
        segment(conversation)
    tokens = tokens[:n_tokens]
    text = encoder.tokenizer.decode(tokens).lower()
    tokens[-len(encoder.close) :] = encoder.close
    return tokens, {key: value for key, value in conversation.told.items() if value.lower() in text and key.asked().lower() in text}
