"""Trains the network. Goes on from the newest checkpoint; the same seeds give the same samples.

usage: train.py FOLDER [--minutes M]      FOLDER holds tokenizer.model, checkpoint.pt and log.txt
"""
import argparse
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import corpus
from model import Model, Shape

SEED = 20261121


@dataclass(frozen=True)
class Cycle:
    """In each cycle the rates rise, stay, and go down; it begins where the one before has arrived."""
    stages: list  # (tokens of a sample, tokens of a step, steps): short conversations teach what to look for, long ones to find it far away
    rate: float = 1
    slowed: bool = True  # rope_frequencies
    context_weight: float = 0.0  # share of the tokens that aren't the model's own (users', tools') which it learns to predict too

    def steps(self):
        return sum(steps for _, _, steps in self.stages)


CYCLES = [
    Cycle([(256, 4096, 300), (512, 4096, 2200), (1024, 8192, 1000), (2048, 8192, 500), (4096, 8192, 300), (8192, 8192, 100)],
          slowed=False, context_weight=0.1),
    Cycle([(512, 4096, 1800), (1024, 8192, 700), (2048, 8192, 400), (4096, 8192, 220), (8192, 8192, 130)], slowed=False, context_weight=0.1),
    Cycle([(512, 4096, 1100), (1024, 8192, 450), (2048, 8192, 150), (4096, 8192, 80), (8192, 8192, 40)], rate=0.7),
    Cycle([(512, 4096, 1400), (1024, 8192, 500), (2048, 8192, 200), (4096, 8192, 80), (8192, 8192, 40)], rate=0.7),
]
WARM_UP_STEPS = 50
COOL_DOWN = 0.4  # share of a cycle's steps, at its end, in which the rates go down to a twentieth
MATRIX_RATE, OTHER_RATE = 4e-3, 3e-3
CHECKPOINT_SECONDS = 300


def plan():
    """(tokens of a sample, samples, context_weight) of each step."""
    return [(length, n_tokens // length, cycle.context_weight) for cycle in CYCLES for length, n_tokens, steps in cycle.stages for _ in range(steps)]


def place(step):
    """The step's cycle, and the share of the full rates."""
    for cycle in CYCLES:
        n_steps = cycle.steps()
        if step < n_steps:
            break
        step -= n_steps
    left = min(1.0, (n_steps - step) / (n_steps * COOL_DOWN))
    return cycle, cycle.rate * min(1.0, (step + 1) / WARM_UP_STEPS) * (0.05 + 0.95 * left)


def product_type():
    """bfloat16 on processors with AVX-512, which mostly multiply it; elsewhere it is emulated, and several times slower than 32 bits."""
    return torch.bfloat16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else torch.float32


def orthogonalised(gradient, coefficients, n_iterations, least_norm):
    """Muon's direction, all singular values of the gradient near one, computed in 32 bits: torch's own does it in bfloat16."""
    linear, cubic, quintic = coefficients
    wide = gradient if gradient.shape[0] <= gradient.shape[1] else gradient.T
    wide = wide / wide.norm().clamp(min=least_norm)
    for _ in range(n_iterations):
        square = wide @ wide.T
        wide = linear * wide + (cubic * square + quintic * square @ square) @ wide
    return wide if gradient.shape[0] <= gradient.shape[1] else wide.T


def optimizers(model):
    if product_type() == torch.float32:
        torch.optim._muon._zeropower_via_newtonschulz = orthogonalised
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embd" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or "embd" in name]
    return [torch.optim.Muon(matrices, lr=MATRIX_RATE, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0)]


def loss_of(model, tokens, wanted, slowed):
    dtype = product_type()
    hidden = model(tokens[:, :-1], slowed, dtype)[wanted]
    return F.cross_entropy(model.logits(hidden, dtype), tokens[:, 1:][wanted])


def save(path, model, steppers, step):
    partial = path.with_suffix(".partial")
    torch.save({"model": model.state_dict(), "optimizers": [s.state_dict() for s in steppers], "step": step, "shape": model.shape.asdict()}, partial)
    os.replace(partial, path)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--minutes", type=float, default=math.inf)
    options = arguments.parse_args()
    torch.manual_seed(SEED)
    steps = plan()
    model = Model(Shape())
    steppers = optimizers(model)
    checkpoint = options.folder / "checkpoint.pt"
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for stepper, saved in zip(steppers, state["optimizers"]):
            stepper.load_state_dict(saved)
        step = state["step"]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters; step {step} of {len(steps)}", flush=True)
    started = saved_at = time.monotonic()
    average, n_tokens = None, 0
    for tokens, wanted in corpus.batches(options.folder / "tokenizer.model", steps, step):
        cycle, rate = place(step)
        for stepper, base in zip(steppers, (MATRIX_RATE, OTHER_RATE)):
            for group in stepper.param_groups:
                group["lr"] = base * rate
        loss = loss_of(model, torch.from_numpy(tokens), torch.from_numpy(wanted), cycle.slowed)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        step += 1
        n_tokens += wanted.size
        average = loss.item() if average is None else 0.95 * average + 0.05 * loss.item()
        now = time.monotonic()
        if step % 10 == 0:
            line = f"step {step} length {steps[step - 1][0]} loss {average:.4f} {n_tokens / (now - started):.0f} tokens/s"
            print(line, flush=True)
            with open(options.folder / "log.txt", "a") as log:
                log.write(line + "\n")
        if now - saved_at > CHECKPOINT_SECONDS or step == len(steps):
            save(checkpoint, model, steppers, step)
            saved_at = now
        if now - started > options.minutes * 60:
            save(checkpoint, model, steppers, step)
            break


if __name__ == "__main__":
    main()
