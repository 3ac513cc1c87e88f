"""The network: llama.cpp's `qwen3` architecture (grouped-query attention with normalised queries and keys, RoPE on halves, SwiGLU,
tied embeddings). Names of parameters are GGUF's."""
import math
import shutil
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

QUERY_CHUNK = 128  # queries that attend at a time: what lies after them is never computed


@dataclass(frozen=True)
class Shape:
    n_vocab: int = 2048
    n_layer: int = 4
    n_embd: int = 384
    n_head: int = 8
    n_head_kv: int = 2
    n_head_dim: int = 128
    n_ff: int = 1024
    rope_base: float = 1e6
    norm_eps: float = 1e-6
    n_context: int = 8192
    rope_slowed: float = 8  # YaRN's factor: how much slower the slow pairs turn than rope_base says
    rope_original_context: int = 1024  # and which are slow: those that turn less than once in so many tokens, and a part of those between

    asdict = asdict


NARROW = Shape(n_embd=256, n_head_dim=64, n_ff=512)  # what training begins with
WIDE = Shape()  # and what widened() makes of it


class Norm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x, dtype=torch.float32):
        return normalised(x, self.weight, self.eps, dtype)


# Rotations within the original context: pairs that do more keep their speed, pairs that do less are slowed (YaRN's beta_fast, beta_slow).
KEPT_FROM, SLOWED_TO = 32, 1


def rope_frequencies(shape, slowed):
    """Radians per token of each pair. slowed: as libllama's YaRN does it (Peng et al., 2023), but for its scale of the scores."""
    half = shape.n_head_dim // 2
    frequencies = shape.rope_base ** (-torch.arange(half) / half)
    if not slowed:
        return frequencies

    def pair(rotations):
        return half * math.log(shape.rope_original_context / (rotations * 2 * math.pi)) / math.log(shape.rope_base)

    low, high = max(0, math.floor(pair(KEPT_FROM))), min(shape.n_head_dim - 1, math.ceil(pair(SLOWED_TO)))
    kept = 1 - ((torch.arange(half) - low) / max(0.001, high - low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / shape.rope_slowed)


def rope_scale(shape):
    """What libllama's YaRN multiplies rotated queries and keys by."""
    return 1 + 0.1 * math.log(shape.rope_slowed)


class CausalAttention(torch.autograd.Function):
    """softmax(q kᵀ) v of queries [n, n_head_kv, groups, length, n_head_dim] that are scaled already, keys and values [n, n_head_kv, total,
    n_head_dim]; the queries are the last tokens'. Keys and values from fixed[0] up to fixed[1] get no gradient. Query heads that share a
    key head attend in one product, and what lies after a chunk of queries is never computed. The gradient is written out: PyTorch's own
    took 1.6 times as long over the same parts, its fused attention twenty times (2.14, with AMX)."""

    @staticmethod
    def forward(context, q, k, v, fixed=(0, 0)):
        groups, length = q.shape[2:4]
        before = k.shape[2] - length
        out = torch.empty_like(q)
        parts = []
        mask = torch.full((QUERY_CHUNK, QUERY_CHUNK), float("-inf"), dtype=q.dtype).triu(1)
        for at in range(0, length, QUERY_CHUNK):
            end = min(at + QUERY_CHUNK, length)
            scores = q[:, :, :, at:end].flatten(2, 3) @ k[:, :, : before + end].transpose(-1, -2)
            scores.unflatten(2, (groups, end - at))[..., before + at :] += mask[: end - at, : end - at]
            parts.append(scores.softmax(-1))
            out[:, :, :, at:end] = (parts[-1] @ v[:, :, : before + end]).unflatten(2, (groups, end - at))
        context.save_for_backward(q, k, v, *parts)
        context.fixed = fixed
        return out

    @staticmethod
    def backward(context, d_out):
        q, k, v, *parts = context.saved_tensors
        groups, length = q.shape[2:4]
        before = k.shape[2] - length
        d_q, d_k, d_v = torch.empty_like(q), torch.zeros(k.shape), torch.zeros(v.shape)
        for i, part in enumerate(parts):
            at = i * QUERY_CHUNK
            end = min(at + QUERY_CHUNK, length)
            queries, d = q[:, :, :, at:end].flatten(2, 3), d_out[:, :, :, at:end].flatten(2, 3)
            d_scores = torch.ops.aten._softmax_backward_data(d @ v[:, :, : before + end].transpose(-1, -2), part, -1, part.dtype)
            d_q[:, :, :, at:end] = (d_scores @ k[:, :, : before + end]).unflatten(2, (groups, end - at))
            for learned in (slice(0, context.fixed[0]), slice(context.fixed[1], before + end)):
                d_v[:, :, learned] += part[..., learned].transpose(-1, -2) @ d
                d_k[:, :, learned] += d_scores[..., learned].transpose(-1, -2) @ queries
        return d_q, d_k.to(k.dtype), d_v.to(v.dtype), None


def normalised(x, weight, eps, dtype):
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight).to(dtype)


def placed(x, weight, eps, cos, sin):
    """Queries or keys, normalised and rotated; in 32 bits, whatever they are."""
    y = x.float()
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps) * weight
    a, b = y.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


def gated(gate, up):
    return F.silu(gate) * up


def fuse():
    """Makes one loop of each of these three, where torch.compile finds a compiler and what it needs to use vectors: half as much time for a
    step, with AMX, and twice as much without vectors. Other processes aren't concerned."""
    global normalised, placed, gated
    if shutil.which("g++") is None:
        return
    from torch._inductor.cpu_vec_isa import pick_vec_isa  # looks for the compiler

    if pick_vec_isa():
        torch._dynamo.config.recompile_limit = 64  # one for each shape
        normalised, placed, gated = (torch.compile(function, dynamic=False) for function in (normalised, placed, gated))


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        s = self.shape = shape
        self.attn_norm, self.ffn_norm = Norm(s.n_embd, s.norm_eps), Norm(s.n_embd, s.norm_eps)
        self.attn_q = nn.Linear(s.n_embd, s.n_head * s.n_head_dim, bias=False)
        self.attn_k = nn.Linear(s.n_embd, s.n_head_kv * s.n_head_dim, bias=False)
        self.attn_v = nn.Linear(s.n_embd, s.n_head_kv * s.n_head_dim, bias=False)
        self.attn_q_norm, self.attn_k_norm = Norm(s.n_head_dim, s.norm_eps), Norm(s.n_head_dim, s.norm_eps)
        self.attn_output = nn.Linear(s.n_head * s.n_head_dim, s.n_embd, bias=False)
        self.ffn_gate = nn.Linear(s.n_embd, s.n_ff, bias=False)
        self.ffn_up = nn.Linear(s.n_embd, s.n_ff, bias=False)
        self.ffn_down = nn.Linear(s.n_ff, s.n_embd, bias=False)

    def keys_and_values(self, x, cos, sin):
        """[n, n_head_kv, length, n_head_dim] each, of normalised states [n, length, n_embd]."""
        s = self.shape
        split = (*x.shape[:2], s.n_head_kv, s.n_head_dim)
        k = placed(self.attn_k(x).view(split), self.attn_k_norm.weight, s.norm_eps, cos, sin)
        return k.transpose(1, 2).contiguous(), self.attn_v(x).view(split).transpose(1, 2).contiguous()

    def attention(self, x, cos, sin, seam, middle):
        s = self.shape
        n, length, _ = x.shape
        q = self.attn_q(x).view(n, length, s.n_head, s.n_head_dim)
        q = placed(q, self.attn_q_norm.weight * s.n_head_dim**-0.5, s.norm_eps, cos, sin)
        q = q.view(n, length, s.n_head_kv, s.n_head // s.n_head_kv, s.n_head_dim).permute(0, 2, 3, 1, 4)
        k, v = self.keys_and_values(x, cos, sin)
        if middle is None:
            mixed = CausalAttention.apply(q.contiguous(), k, v)
        else:
            n_middle = middle[0].shape[2]
            first = CausalAttention.apply(q[:, :, :, :seam].contiguous(), k[:, :, :seam].contiguous(), v[:, :, :seam].contiguous())
            k, v = (torch.cat([own[:, :, :seam], between.expand(n, -1, -1, -1), own[:, :, seam:]], 2) for own, between in zip((k, v), middle))
            last = CausalAttention.apply(q[:, :, :, seam:].contiguous(), k, v, (seam, seam + n_middle))
            mixed = torch.cat([first, last], 3)
        return self.attn_output(mixed.permute(0, 3, 1, 2, 4).reshape(n, length, -1))

    def forward(self, x, cos, sin, dtype, seam=0, middle=None):
        x = x + self.attention(self.attn_norm(x, dtype), cos, sin, seam, middle)
        h = self.ffn_norm(x, dtype)
        return x + self.ffn_down(gated(self.ffn_gate(h), self.ffn_up(h)))


EMBEDDING_SCALE = 0.05
PREVIOUS_PAIRS = 3  # the fastest RoPE pairs, which tell one distance from the next
LOOK_BACK = 3  # tokens before each one that block 0 copies to it
COMPARED = ((0, 1, 2), (0,), (1, 2))  # what the induction heads compare: this token (0) and the ones before it
SLOW_PAIRS = 14  # pairs from here on hardly turn within the context: they compare content wherever it stands


def orthonormal(rows, columns):
    return torch.linalg.qr(torch.randn(columns, rows)).Q.T


@torch.no_grad()
def seed_circuits(model):
    """Starts the network from what every model that recalls has to find first: heads of block 0 that copy the tokens one to three
    places back into subspaces of their own, and heads of blocks 1 and 3 that look for places before which stood what stands
    here, and propose what followed there (induction heads: Olsson et al., 2022, "In-context learning and induction
    heads"). Found by gradients alone, they take most of a training of this size. Everything else starts neutral: matrices that
    write into the residual stream are zero but for these heads.
    """
    s = model.shape
    half, dim = s.n_head_dim // 2, s.n_head_dim
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    nn.init.normal_(model.token_embd.weight, std=EMBEDDING_SCALE)
    model.token_embd.weight[:, 0] = 4 * EMBEDDING_SCALE  # equal for all tokens: what position-only heads read
    for block in model.blk:
        block.attn_output.weight.zero_()
        block.ffn_down.weight.zero_()

    def head(i):
        return slice(i * dim, (i + 1) * dim)

    copied = orthonormal(dim, s.n_embd)  # what block 0 copies of a token
    places = [orthonormal(dim, s.n_embd) for _ in range(LOOK_BACK)]  # where it puts what stood one, two, three places back
    frequencies = s.rope_base ** (-torch.arange(half) / half)
    pairs = torch.arange(PREVIOUS_PAIRS)
    first = model.blk[0]
    first.attn_q_norm.weight.fill_(3.0)
    first.attn_k.weight[head(0)] = 0
    first.attn_k.weight[pairs, 0] = 1  # a vector that is the same everywhere, before it is rotated
    first.attn_v.weight[head(0)] = copied
    for distance in range(1, LOOK_BACK + 1):
        at = (distance - 1) * dim
        first.attn_q.weight[at : at + dim] = 0
        first.attn_q.weight[at + pairs, 0] = torch.cos(distance * frequencies[pairs])
        first.attn_q.weight[at + half + pairs, 0] = -torch.sin(distance * frequencies[pairs])
        first.attn_output.weight[:, at : at + dim] = 2 * EMBEDDING_SCALE * places[distance - 1].T
    groups = [torch.cat([slow, slow + half]) for slow in (torch.arange(SLOW_PAIRS + i, half, LOOK_BACK) for i in range(LOOK_BACK))]
    read = [copied, *places]
    for block in (model.blk[1], model.blk[3]):
        block.attn_q_norm.weight.fill_(2.0)
        block.attn_k.weight[head(0)] = 0
        for back, group in enumerate(groups):
            block.attn_k.weight[group] = places[back][: len(group)]
        proposed = orthonormal(dim, s.n_embd)
        block.attn_v.weight[head(0)] = proposed
        for i, compared in enumerate(COMPARED):
            block.attn_q.weight[head(i)] = 0
            for back in compared:
                block.attn_q.weight[i * dim + groups[back]] = read[back][: len(groups[back])]
            block.attn_output.weight[:, head(i)] = 2 * EMBEDDING_SCALE / len(COMPARED) * proposed.T


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = Norm(shape.n_embd, shape.norm_eps)
        seed_circuits(self)

    def rotation(self, places, slowed):
        angles = places[..., None] * rope_frequencies(self.shape, slowed)
        return angles.cos().unsqueeze(-2), angles.sin().unsqueeze(-2)

    @torch.no_grad()
    def read(self, rows, first, slowed, dtype):
        """Keys and values [1, n_head_kv, all tokens, n_head_dim] of each block, of rows of tokens [n, length] that stand one behind the other
        from the place `first` on, and don't see each other."""
        cos, sin = self.rotation(first + torch.arange(rows.numel()).view(rows.shape), slowed)
        x = self.token_embd(rows)
        kept = []
        for block in self.blk:
            kept.append([part.transpose(0, 1).flatten(1, 2)[None] for part in block.keys_and_values(block.attn_norm(x, dtype), cos, sin)])
            if len(kept) < len(self.blk):
                x = block(x, cos, sin, dtype)
        return kept

    def forward(self, tokens, slowed=True, dtype=torch.bfloat16, middle=None, seam=0):
        """Hidden states [n, length, n_embd] (32 bits) of tokens [n, length]; matrices are multiplied in `dtype`. middle: rows of tokens that
        all of the n have in common, between their first `seam` tokens and the others. Nothing is learned from it (read)."""
        places = torch.arange(tokens.shape[1])
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            between = [None] * len(self.blk)
            if middle is not None:
                between = self.read(middle, seam, slowed, dtype)
                places[seam:] += middle.numel()
            cos, sin = self.rotation(places, slowed)
            x = self.token_embd(tokens)
            for block, given in zip(self.blk, between):
                x = block(x, cos, sin, dtype, seam, given)
        return self.output_norm(x)

    def logits(self, hidden, dtype=torch.bfloat16):
        return (hidden.to(dtype) @ self.token_embd.weight.to(dtype).T).float()


@torch.no_grad()
def widened(old, shape, noise=0.02):
    """A model of `shape` that says what `old` says, nearly: more dimensions of the residual stream, more hidden units, twice the
    dimensions of a head (Chen et al., 2016, "Net2Net"). What is new is small at random where it is read, and zero where it is written."""
    new = Model(shape)
    n, n_ff, n_dim = old.shape.n_embd, old.shape.n_ff, old.shape.n_head_dim
    pairs = torch.arange(n_dim // 2) * (shape.n_head_dim // n_dim)  # where the old pairs lie among the new: those that turn as fast
    dims = torch.cat([pairs, shape.n_head_dim // 2 + pairs])

    def lines(n_head):
        return torch.cat([head * shape.n_head_dim + dims for head in range(n_head)])[:, None]

    def stretch(wide, narrow, at, scale, rest):  # a norm's weights: what wasn't there is as what was, in the mean
        wide.fill_(rest * scale)
        wide[at] = narrow * scale

    def put(wide, narrow, rows, rest):
        wide.normal_(std=rest)
        wide[rows, torch.arange(n)] = narrow

    more = (n / shape.n_embd) ** 0.5  # squares are averaged over more dimensions now, and zeros among them
    more_in_head = (n_dim / shape.n_head_dim) ** 0.5
    put(new.token_embd.weight, old.token_embd.weight, torch.arange(shape.n_vocab)[:, None], noise * old.token_embd.weight.std())
    stretch(new.output_norm.weight, old.output_norm.weight, slice(n), more, old.output_norm.weight.abs().mean())
    for a, b in zip(old.blk, new.blk):
        for old_norm, norm in ((a.attn_norm, b.attn_norm), (a.ffn_norm, b.ffn_norm)):
            stretch(norm.weight, old_norm.weight, slice(n), more, old_norm.weight.abs().mean())
        for narrow, wide, n_head in ((a.attn_q, b.attn_q, shape.n_head), (a.attn_k, b.attn_k, shape.n_head_kv), (a.attn_v, b.attn_v, shape.n_head_kv)):
            put(wide.weight, narrow.weight, lines(n_head), noise * narrow.weight.std())
        for old_norm, norm, scale in ((a.attn_k_norm, b.attn_k_norm, more_in_head), (a.attn_q_norm, b.attn_q_norm, 1)):  # 1: products are
            slow = old_norm.weight[n_dim // 4 :].abs().mean()  # divided by the root of the dimensions, too
            stretch(norm.weight, old_norm.weight, dims, scale, slow)
        b.attn_output.weight.zero_()
        b.attn_output.weight[torch.arange(n)[:, None], lines(shape.n_head).T] = a.attn_output.weight
        for narrow, wide in ((a.ffn_gate, b.ffn_gate), (a.ffn_up, b.ffn_up)):
            put(wide.weight, narrow.weight, torch.arange(n_ff)[:, None], narrow.weight.std())
            wide.weight[:, n:] *= noise
        b.ffn_down.weight.zero_()
        b.ffn_down.weight[:n, :n_ff] = a.ffn_down.weight
    return new
