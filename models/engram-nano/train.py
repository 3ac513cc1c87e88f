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
from far import Far
from model import NARROW, WIDE, Model, Shape, fuse, widened

SEED = 20261121


@dataclass(frozen=True)
class Cycle:
    """In each cycle the rates rise, stay, and go down; it begins where the one before has arrived."""
    stages: list  # (tokens of a sample, tokens of a step, steps): short conversations teach what to look for, long ones to find it far away; (Far, steps)
    rate: float = 1
    rounds: int = 1  # how often the stages come
    shape: Shape = NARROW
    slowed: bool = True  # rope_frequencies
    context_weight: float = 0.0  # Whole's
    focused: bool = False  # Whole's, of the shortest
    newest: float = 0.0  # the cycle arrives at a running mean of its weights, in which each step's have this share; the rates don't go down then
    kept: float = 0.0  # this share of the weights that it began with stays in the mean of those and the ones that it arrives at

    def steps(self):
        return self.rounds * sum(stage[-1] for stage in self.stages)

    def kind(self, stage):
        if len(stage) == 2:
            return stage[0]
        length, n_tokens, _ = stage
        return corpus.Whole(length, n_tokens // length, self.context_weight, self.focused and length == SHORTEST)


SHORTEST = 512
SHORT = [(512, 4096, 2), (1024, 8192, 1), (512, 4096, 1), (2048, 8192, 1), (512, 4096, 1), (1024, 8192, 1)]
MIXED = [(512, 4096, 1), (1024, 8192, 1), (4096, 8192, 1), (512, 4096, 1), (2048, 8192, 1), (512, 4096, 1), (1024, 8192, 1)]
FAR, FARTHEST = [(4096, 8192, 1)], [(8192, 8192, 1)]
APART = [(Far(4), 1), (512, 4096, 1), (Far(2), 1), (1024, 8192, 1), (Far(4), 1), (512, 4096, 1), (Far(1), 1), (2048, 8192, 1),
         (Far(4), 1), (512, 4096, 1), (Far(2), 1), (1024, 8192, 1), (Far(4), 1), (512, 4096, 1), (Far(3), 1), (4096, 8192, 1)]
CYCLES = [
    Cycle([(256, 4096, 300), (512, 4096, 2200), (1024, 8192, 1000), (2048, 8192, 500), (4096, 8192, 300), (8192, 8192, 100)],
          slowed=False, context_weight=0.1),
    Cycle([(512, 4096, 1800), (1024, 8192, 700), (2048, 8192, 400), (4096, 8192, 220), (8192, 8192, 130)], slowed=False, context_weight=0.1),
    Cycle([(512, 4096, 1100), (1024, 8192, 450), (2048, 8192, 150), (4096, 8192, 80), (8192, 8192, 40)], rate=0.7),
    Cycle([(512, 4096, 1400), (1024, 8192, 500), (2048, 8192, 200), (4096, 8192, 80), (8192, 8192, 40)], rate=0.7),
    Cycle(SHORT + FAR + SHORT + FARTHEST + SHORT + FAR, rate=0.5, rounds=49, shape=WIDE, kept=0.4),
    Cycle(MIXED + FARTHEST + MIXED + FAR + MIXED + FAR, rate=0.25, rounds=35, shape=WIDE, newest=0.005, kept=0.2),
    Cycle(APART, rate=0.25, rounds=90, shape=WIDE, newest=0.005, focused=True),
    Cycle(APART, rate=0.35, rounds=209, shape=WIDE, newest=0.005, kept=0.4, focused=True),
]
WARM_UP_STEPS = 50
COOL_DOWN = 0.4  # share of a cycle's steps, at its end, in which the rates go down to a twentieth
MATRIX_RATE, OTHER_RATE = 4e-3, 3e-3
CHECKPOINT_SECONDS = 300


def plan():
    """The kind of each step's samples."""
    return [kind for cycle in CYCLES for _ in range(cycle.rounds) for stage in cycle.stages for kind in [cycle.kind(stage)] * stage[-1]]


def place(step):
    """The cycle of a step, and how many of its steps came before."""
    for cycle in CYCLES:
        if step < cycle.steps():
            return cycle, step
        step -= cycle.steps()
    raise ValueError("no such step")


def share_of_rates(cycle, before):
    """Of the full rates, in the cycle's step with so many before it."""
    left = 1.0 if cycle.newest else min(1.0, (cycle.steps() - before) / (cycle.steps() * COOL_DOWN))
    return cycle.rate * min(1.0, (before + 1) / WARM_UP_STEPS) * (0.05 + 0.95 * left)


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


def loss_of(model, batch, slowed):
    tokens, wanted = torch.from_numpy(batch.tokens), torch.from_numpy(batch.wanted)
    middle = None if batch.middle is None else torch.from_numpy(batch.middle)
    dtype = product_type()
    hidden = model(tokens[:, :-1], slowed, dtype, middle, batch.seam)[wanted]
    return F.cross_entropy(model.logits(hidden, dtype), tokens[:, 1:][wanted])


def copied(weights):
    return {name: values.clone() for name, values in weights.items()}


def mix(mean, weights, share):
    for name, values in weights.items():
        mean[name].lerp_(values, share)


class Training:
    """The network, and what else goes on from step to step and lies in the checkpoint."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        state = torch.load(checkpoint) if checkpoint.exists() else None
        self.step = state["step"] if state else 0
        self.model = Model(Shape(**state["shape"]) if state else CYCLES[0].shape)
        self.first = state["first"] if state else None  # the weights that the cycle began with, where it keeps some of them
        self.mean = state["mean"] if state else None  # its running mean, where it has one
        self.steppers = optimizers(self.model)
        if state:
            self.model.load_state_dict(state["model"])
            for stepper, saved in zip(self.steppers, state["optimizers"]):
                stepper.load_state_dict(saved)

    def save(self):
        partial = self.checkpoint.with_suffix(".partial")
        torch.save({"model": self.model.state_dict(), "optimizers": [s.state_dict() for s in self.steppers], "step": self.step,
                    "shape": self.model.shape.asdict(), "first": self.first, "mean": self.mean}, partial)
        os.replace(partial, self.checkpoint)

    def learn(self, batch):
        """One step. Returns the loss."""
        cycle, before = place(self.step)
        if before == 0:
            self._begin(cycle)
        for stepper, base in zip(self.steppers, (MATRIX_RATE, OTHER_RATE)):
            for group in stepper.param_groups:
                group["lr"] = base * share_of_rates(cycle, before)
        loss = loss_of(self.model, batch, cycle.slowed)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for stepper in self.steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        if cycle.newest:
            mix(self.mean, self.model.state_dict(), cycle.newest)
        self.step += 1
        if before + 1 == cycle.steps() and (cycle.newest or cycle.kept):
            self._end(cycle)
        return loss.item()

    def _begin(self, cycle):
        if cycle.shape != self.model.shape:
            torch.manual_seed(SEED)  # what is new is the same, whether or not the training was interrupted before
            self.model = widened(self.model, cycle.shape)
            self.steppers = optimizers(self.model)
        self.first = copied(self.model.state_dict()) if cycle.kept else None
        self.mean = copied(self.model.state_dict()) if cycle.newest else None

    def _end(self, cycle):
        weights = self.mean if cycle.newest else copied(self.model.state_dict())
        if cycle.kept:
            mix(weights, self.first, cycle.kept)
        self.model.load_state_dict(weights)
        self.first = self.mean = None
        self.steppers = optimizers(self.model)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--minutes", type=float, default=math.inf)
    options = arguments.parse_args()
    torch.manual_seed(SEED)
    fuse()
    steps = plan()
    training = Training(options.folder / "checkpoint.pt")
    parameters = sum(p.numel() for p in training.model.parameters()) / 1e6
    print(f"{parameters:.2f} million parameters; step {training.step} of {len(steps)}", flush=True)
    started = saved_at = time.monotonic()
    average, n_tokens = None, 0
    for batch in corpus.batches(options.folder / "tokenizer.model", steps, training.step):
        loss = training.learn(batch)
        n_tokens += batch.wanted.size
        average = loss if average is None else 0.95 * average + 0.05 * loss
        now = time.monotonic()
        if training.step % 10 == 0:
            line = f"step {training.step} {steps[training.step - 1]} loss {average:.4f} {n_tokens / (now - started):.0f} tokens/s"
            print(line, flush=True)
            with open(options.folder / "log.txt", "a") as log:
                log.write(line + "\n")
        if now - saved_at > CHECKPOINT_SECONDS or training.step == len(steps):
            training.save()
            saved_at = now
        if now - started > options.minutes * 60:
            training.save()
            break


if __name__ == "__main__":
    main()
