"""Training with a common middle computes what whole conversations would, and what its questions ask for stands there. Needs PyTorch and
SentencePiece, so that make.sh runs it before a training."""
import re
import unittest

import numpy
import torch

from far import Far
from model import NARROW, CausalAttention, Model


def model(n_blocks):
    torch.manual_seed(1)
    made = Model(NARROW)
    made.blk = made.blk[:n_blocks]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return made


def conversation(n, length):
    return torch.randint(0, NARROW.n_vocab, (n, length), generator=torch.Generator().manual_seed(length))


class Middle(unittest.TestCase):
    def test_one_block_says_what_it_says_of_the_whole(self):
        """With one block, what a middle's token keeps doesn't depend on what stood before."""
        one, ends, middle = model(1), conversation(3, 150 + 140), conversation(2, 160)
        whole = torch.cat([ends[:, :150], middle.reshape(1, -1).expand(3, -1), ends[:, 150:]], 1)
        outside = torch.tensor([i for i in range(whole.shape[1]) if not 150 <= i < 150 + 320])
        got, expected = one(ends, dtype=torch.float32, middle=middle, seam=150), one(whole, dtype=torch.float32)[:, outside]
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)

        got.square().sum().backward()
        ours = {name: parameter.grad.clone() for name, parameter in one.named_parameters()}
        one.zero_grad()
        one(whole, dtype=torch.float32)[:, outside].square().sum().backward()
        for name in ("blk.0.attn_q.weight", "blk.0.ffn_down.weight", "output_norm.weight"):  # what the middle's keys and values don't come from
            torch.testing.assert_close(ours[name], dict(one.named_parameters())[name].grad, rtol=1e-3, atol=1e-3)
        self.assertFalse(torch.allclose(ours["blk.0.attn_k.weight"], one.blk[0].attn_k.weight.grad, rtol=1e-3, atol=1e-3))

    def test_the_beginning_does_not_see_the_middle(self):
        two, ends = model(2), conversation(2, 40)
        torch.testing.assert_close(two(ends, dtype=torch.float32, middle=conversation(2, 30), seam=20)[:, :20], two(ends, dtype=torch.float32)[:, :20])

    def test_rows_of_a_middle_do_not_see_each_other(self):
        two, rows = model(2), conversation(2, 30)
        (key, value), (later_key, later_value) = two.read(rows, 5, True, torch.float32)
        self.assertEqual(key.shape, (1, NARROW.n_head_kv, 60, NARROW.n_head_dim))
        changed = rows.clone()
        changed[0] = 1
        again = two.read(changed, 5, True, torch.float32)[1]
        torch.testing.assert_close(again[0][:, :, 30:], later_key[:, :, 30:])
        self.assertFalse(torch.allclose(again[1][:, :, :30], later_value[:, :, :30]))


class Words:
    """An encoder whose tokens are words, line ends and marks."""

    def __init__(self):
        self.tokenizer = self
        self.words = {}
        self.close = self._encode("<end>\n")

    def _encode(self, text):
        return [self.words.setdefault(word, len(self.words)) for word in re.findall(r"<end>|\n|[^\s<]+ ?", text)]

    def tokens(self, conversation):
        return self._encode("".join(f"{message['role']}: {message['content']}<end>\n" for message in conversation.messages))

    def decode(self, tokens):
        words = list(self.words)
        return "".join(words[token] for token in tokens)

    def own(self, tokens):
        return numpy.zeros(len(tokens), dtype=bool)


class Questions(unittest.TestCase):
    def test_what_is_asked_for_stands_before(self):
        encoder, n_here, n_there, n_unknown = Words(), 0, 0, 0
        for seed in range(4):
            batch = Far(n_rows=2, n=4, n_beginning=300, n_row=600, n_end=250).draw(encoder, seed)
            self.assertEqual((batch.tokens.shape, batch.wanted.shape, batch.middle.shape, batch.seam), ((4, 551), (4, 550), (2, 600), 300))
            middle = encoder.decode(batch.middle.flatten())
            for sample in batch.tokens:
                beginning, end = encoder.decode(sample[:300]), encoder.decode(sample[300:])
                self.assertTrue(beginning.endswith("<end>\n"))
                for said in re.findall(r"assistant: ((?:The|Your) .*?)<end>", end):
                    if "I don't know" in said:
                        n_unknown += 1
                    else:
                        value = said.split(" is ")[1].rstrip(".")
                        self.assertIn(value, beginning + middle)
                        n_here += value in beginning
                        n_there += value in middle
        self.assertGreater(n_here, n_there)
        self.assertGreater(min(n_there, n_unknown), 5)


class Attention(unittest.TestCase):
    def test_gradients_are_those_of_plain_operations(self):
        torch.manual_seed(2)
        q, k, v = (torch.randn(2, 2, 3, 140, 8, requires_grad=True), *(torch.randn(2, 2, 200, 8, requires_grad=True) for _ in range(2)))
        visible = torch.arange(200) <= 60 + torch.arange(140)[:, None]
        scores = (q @ k[:, :, None].transpose(-1, -2)).masked_fill(~visible, float("-inf"))
        plain = scores.softmax(-1) @ v[:, :, None]
        weight = torch.randn_like(plain)
        expected = torch.autograd.grad((plain * weight).sum(), (q, k, v))
        got = CausalAttention.apply(q, k, v)
        torch.testing.assert_close(got, plain, rtol=1e-4, atol=1e-5)
        for mine, theirs in zip(torch.autograd.grad((got * weight).sum(), (q, k, v)), expected):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
        q_part, k_part, v_part = torch.autograd.grad((CausalAttention.apply(q, k, v, (20, 50)) * weight).sum(), (q, k, v))
        torch.testing.assert_close(q_part, expected[0], rtol=1e-4, atol=1e-4)
        for mine, theirs in ((k_part, expected[1]), (v_part, expected[2])):
            self.assertEqual(mine[:, :, 20:50].abs().sum(), 0)
            torch.testing.assert_close(mine[:, :, :20], theirs[:, :, :20], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(mine[:, :, 50:], theirs[:, :, 50:], rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
