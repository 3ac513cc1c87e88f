"""The network: llama.cpp's `qwen3` architecture (grouped-query attention with normalised queries and keys, RoPE on halves, SwiGLU,
tied embeddings). Names of parameters are GGUF's."""
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

QUERY_CHUNK = 256  # queries that attend at a time: what lies after them is never computed


@dataclass(frozen=True)
class Shape:
    n_vocab: int = 3072
    n_layer: int = 6
    n_embd: int = 256
    n_head: int = 4
    n_head_kv: int = 2
    n_head_dim: int = 64
    n_ff: int = 640
    rope_base: float = 1e6
    norm_eps: float = 1e-6
    n_context: int = 8192

    asdict = asdict


class Norm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


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

    def attention(self, x, cos, sin, mask):
        s = self.shape
        n, length, _ = x.shape
        q = self.attn_q_norm(self.attn_q(x).view(n, length, s.n_head, s.n_head_dim).float())
        k = self.attn_k_norm(self.attn_k(x).view(n, length, s.n_head_kv, s.n_head_dim).float())
        v = self.attn_v(x).view(n, length, s.n_head_kv, s.n_head_dim).transpose(1, 2)
        q = (rotate(q, cos, sin) * s.n_head_dim**-0.5).to(x.dtype).transpose(1, 2)
        k = rotate(k, cos, sin).to(x.dtype).transpose(1, 2)
        groups = s.n_head // s.n_head_kv
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        parts = []
        for at in range(0, length, QUERY_CHUNK):
            end = min(at + QUERY_CHUNK, length)
            scores = q[:, :, at:end] @ k[:, :, :end].transpose(-1, -2)
            scores[..., at:end] += mask[: end - at, : end - at]
            parts.append(scores.softmax(-1) @ v[:, :, :end])
        return self.attn_output(torch.cat(parts, dim=2).transpose(1, 2).reshape(n, length, -1))

    def forward(self, x, cos, sin, mask, dtype):
        x = x + self.attention(self.attn_norm(x).to(dtype), cos, sin, mask)
        h = self.ffn_norm(x).to(dtype)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = Norm(shape.n_embd, shape.norm_eps)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = (2 * shape.n_layer) ** -0.5 if "output" in name or "down" in name else 1.0
                nn.init.normal_(parameter, std=scale * (0.02 if "embd" in name else parameter.shape[1] ** -0.5))

    def forward(self, tokens, dtype=torch.bfloat16):
        """Hidden states [n, length, n_embd] (32 bits) of tokens [n, length]; matrices are multiplied in `dtype`."""
        length = tokens.shape[1]
        half = self.shape.n_head_dim // 2
        frequencies = self.shape.rope_base ** (-torch.arange(half) / half)
        angles = torch.arange(length)[:, None] * frequencies
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        mask = torch.full((QUERY_CHUNK, QUERY_CHUNK), float("-inf"), dtype=dtype).triu(1)
        x = self.token_embd(tokens)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            for block in self.blk:
                x = block(x, cos, sin, mask, dtype)
        return self.output_norm(x)

    def logits(self, hidden):
        return (hidden.to(torch.bfloat16) @ self.token_embd.weight.to(torch.bfloat16).T).float()
