#!/usr/bin/env python3
"""Random clients against a real server to which all kinds of things happen: torture.py ENGRAM MODEL [--shim FILE] [--minutes N]
[--seed N] [--faults-first NAMES] [--may-skip NAMES] [--json]. docs/TORTURE.md says what it does and what must hold. Status 0: nothing
was lost or wrong."""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import cage
import checks
import faults
import wire
from clients import Client
from control import Control
from oracle import Conversation, Secrets
from record import Record
from relay import Relay

CLIENTS = 5
TENANTS = ("red", "green", "blue")
DISK_BUDGET = 8 << 20
FLAGS = ("--threads", 1, "--context", 1536, "--batch", 128, "--max-running", 4, "--block-tokens", 64, "--temp", 0, "--memory-budget",
         "2MiB", "--kv-type", "bf16", "--model-name", "engram-nano", "--drain-seconds", 20)
SHARE_OF_TORTURE = 0.7  # of the time; the rest is for the control
LEAST_FOR_CONTROL_S = 30
MINUTES_FOR_ALL = 5  # a run of so many meets each fault, or says why not


class World:
    """What clients, faults and checks share."""

    def __init__(self, arguments, folder):
        self.record = Record(arguments.seed)
        self.tenants, self.secrets = TENANTS, Secrets()
        self.home, self.model, self.disk_budget = folder / "home", arguments.model, DISK_BUDGET
        self.spare_model, self.not_a_model = folder / "other.gguf", folder / "nothing.gguf"
        self.flipped, self.has_room_again = {}, False
        self.earlier = {"process": None, "descriptors": 0, "counters": {}}
        self.condition = threading.Condition()
        self.running = self.finished = False
        self.idle, self.clients = set(), []
        self.server = self.relay = None

    @property
    def port(self):
        return self.relay.port if self.relay else self.server.port

    def cut(self, is_cut):
        """The network between clients and server."""
        if self.relay:
            self.relay.cut(is_cut)
        else:
            cage.set_loopback(not is_cut)

    def overheard(self, where, text, allowed):
        for word in self.secrets.leaked(text, allowed):
            own = ", ".join(sorted(allowed)) or "nothing"
            self.record.finding("leak", f"{where} says {word!r}, which was told to somebody else (and {own} to it): {text!r}")

    # --- clients work between rounds' beginnings and ends ---

    def wait_for_start(self, client):
        with self.condition:
            self.idle.add(client)
            self.condition.notify_all()
            self.condition.wait_for(lambda: self.running or self.finished)
            if not self.finished:
                self.idle.discard(client)
            return not self.finished

    def let_run(self):
        with self.condition:
            self.running = True
            self.condition.notify_all()

    def hold(self):
        """Lets everybody finish what they are doing; False when somebody doesn't."""
        with self.condition:
            self.running = False
            if self.condition.wait_for(lambda: len(self.idle) == len(self.clients), 2 * wire.TIMEOUT_S):
                return True
            for client in set(self.clients) - self.idle:
                self.record.finding("hang", f"{client.name} doesn't come back from {client.last}")
            return False

    def end(self):
        with self.condition:
            self.running, self.finished = False, True
            self.condition.notify_all()


def prepare(world, arguments, folder):
    """The home on its small disk, models, tenants with keys, and a server that runs."""
    world.home.mkdir()
    record = world.record
    why = cage.mount_small_disk(world.home) if cage.in_namespaces() else arguments.alone
    if why is not None:
        record.skipped["full_disk"] = f"no small disk of its own: {why}"
    if cage.in_namespaces():
        cage.set_loopback(True)
    shim = cage.Shim(arguments.shim, folder) if arguments.shim else None
    if shim is None:
        record.skipped["slow_disk"] = record.skipped["clock_jump"] = "no shim was given"
    world.server = cage.Server(arguments.engram, world.home, [*FLAGS, "--model", world.model, "--disk-budget", DISK_BUDGET],
                               folder / "server.log", shim)
    if not cage.in_namespaces():
        world.relay = Relay(world.server.port)
        record.notes["network"] = f"cuts are made by a relay: no network of its own: {arguments.alone}"
    world.server.command("model", "synth", "--geometry", "tiny-llama", world.spare_model)
    world.not_a_model.write_text("no model")
    world.keys = {}
    for tenant in TENANTS:
        world.server.command("tenant", "set", tenant, "--requests", "unlimited")
        world.keys[tenant] = world.server.command("key", "create", "--tenant", tenant)
    world.server.command("tenant", "set", "keeper", "--requests", "unlimited")
    admin = world.server.command("key", "create", "--tenant", "keeper", "--scopes", "chat,agents,admin")
    world.admin = {"authorization": f"Bearer {admin}"}
    faults.restart(world)
    world.own_model = own_model(world)
    world.clients = [Client(number, TENANTS[number % len(TENANTS)], world) for number in range(CLIENTS)]
    for client in world.clients:
        client.start()


def own_model(world):
    """What the server calls its model in what it says of agents."""
    probe = "/v1/agents/probe"
    wire.done(world.port, "POST", "/v1/agents", {"id": "probe"}, world.admin)
    wire.done(world.port, "POST", probe + "/turn", {"prompt": "Hello", "max_tokens": 1}, world.admin)
    name = wire.done(world.port, "GET", probe, headers=world.admin).json()["model"]
    wire.done(world.port, "DELETE", probe, headers=world.admin)
    return name


def shuffled(possible, draw, first=()):
    """All faults once, in the order in which pop() gives them: those that are named first, the others as they were drawn."""
    drawn = draw.sample(possible, len(possible))
    by_name = {fault.__name__: fault for fault in possible}
    return [fault for fault in drawn if fault.__name__ not in first] + [by_name[name] for name in reversed(first) if name in by_name]


def torture(world, seconds, first=()):
    """Rounds until the time is over: clients at work, one fault or two in the middle, then everybody waits and all is looked at. The
    faults that are to come first come in any case, however slow the machine is."""
    draw = random.Random(f"{world.record.seed}/faults")
    possible = [fault for fault in faults.FAULTS if fault.__name__ not in world.record.skipped]
    end, deck = time.monotonic() + seconds, shuffled(possible, draw, first)
    least = max(1, sum(fault.__name__ in first for fault in possible))
    while time.monotonic() < end or world.record.round < least:
        world.record.round += 1
        deck = deck or shuffled(possible, draw)
        chosen = [deck.pop()] + ([faults.kill] if draw.random() < 0.3 else [])
        world.let_run()
        for fault in chosen:
            faults.some_time(draw)
            fault(world, draw)
            world.record.faults[fault.__name__] += 1
        faults.some_time(draw, 0.2, 0.8)
        if not world.hold():
            return
        checks.at_rest(world)
        print(f"torture: round {world.record.round}: {', '.join(fault.__name__ for fault in chosen)}; lost or wrong: "
              f"{len(world.record.findings)}", file=sys.stderr, flush=True)


def check_faults(record, minutes, may_skip=()):
    """In a run that is long enough for all of them, a fault that didn't come is a finding, so that nobody has to read the list."""
    if minutes < MINUTES_FOR_ALL:
        return
    for name in (fault.__name__ for fault in faults.FAULTS):
        if name in may_skip:
            continue
        if name in record.skipped:
            record.finding("left out", f"{name}: {record.skipped[name]} (--may-skip {name} accepts that)")
        elif not record.faults[name]:
            record.finding("left out", f"{name} never came in {record.round} rounds: give it more --minutes")


def finish(world):
    """Once more from the disk: everything that was acknowledged, and nothing that is damaged and unnoticed."""
    status = world.server.kill(signal.SIGTERM)
    if status != 0:
        world.record.finding("crash", f"status {status} after SIGTERM: {world.server.last_words()}")
    checks.verify(world)
    faults.restart(world)
    checks.at_rest(world)
    world.server.kill(signal.SIGTERM)


def newest_first(clients):
    """All agents and conversations, in the order of the last answers that were heard of them."""
    everything = [one for client in clients for one in (*client.agents, *client.gone, *client.conversations, *client.left)]
    return sorted(everything, key=lambda one: one.newest, reverse=True)


def compare(world, arguments, folder, seconds):
    """With the tortured server gone, so that two don't compute at the same time. What there was no time for is counted."""
    home = folder / "control"
    home.mkdir()
    server = cage.Server(arguments.engram, home, [*FLAGS, "--model", world.model], folder / "control.log")
    why = server.start()
    if why is not None:
        raise RuntimeError(why)
    control = Control(server, world.record, seconds)
    for one in newest_first(world.clients):
        if isinstance(one, Conversation):
            control.replay_conversation(one)
        else:
            control.replay(one)
    server.kill(signal.SIGTERM)


def fault_names(text):
    """Of an argument: "cut,kill"."""
    names = tuple(name for name in text.split(",") if name)
    known = [fault.__name__ for fault in faults.FAULTS]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"there is no fault {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(dict.fromkeys(names))


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__)
    file = lambda text: pathlib.Path(text).resolve()
    parser.add_argument("engram", type=file)
    parser.add_argument("model", type=file)
    parser.add_argument("--shim", type=file, help="shim.c as a library: without it no slow disk and no clock jumps")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 1))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--faults-first", type=fault_names, default=(), metavar="NAMES", help="faults that come in the first rounds, in "
                        "this order, even when the time is over before: cut,kill")
    parser.add_argument("--may-skip", type=fault_names, default=(), metavar="NAMES", help=f"faults that a run of {MINUTES_FOR_ALL} minutes "
                        "or more may leave out; any other that doesn't come is a finding")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the homes and the servers' logs, which stay there")
    return parser.parse_args(words)


def interrupted(number, frame):
    raise RuntimeError(f"signal {number}: the report says what was seen until then")


def main(words):
    arguments = parse(words)
    signal.signal(signal.SIGTERM, interrupted)
    # The seed goes along, since it may have been drawn just now.
    arguments.alone = cage.enter_namespaces([sys.executable, "-B", __file__, *words, "--seed", str(arguments.seed)])
    print(f"torture: seed {arguments.seed} (SEED={arguments.seed} replays its operations and faults)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="engram-torture-", ignore_cleanup_errors=True) as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        world = World(arguments, folder)
        try:
            prepare(world, arguments, folder)
            torture(world, 60 * arguments.minutes * SHARE_OF_TORTURE, arguments.faults_first)
            check_faults(world.record, arguments.minutes, arguments.may_skip)
            world.end()
            finish(world)
            compare(world, arguments, folder, max(LEAST_FOR_CONTROL_S, 60 * arguments.minutes * (1 - SHARE_OF_TORTURE)))
        except Exception as error:  # without a server, or with one that makes no sense, there is nothing more to find out
            world.record.finding("crash", f"the run ended early: {error!r}")
            if os.environ.get("TORTURE_TRACE"):
                raise
        finally:
            world.end()
            if world.server is not None and world.server.running():
                world.server.kill()
            if arguments.keep:  # the small disk goes with this process
                shutil.copytree(world.home, folder / "home-at-the-end", dirs_exist_ok=True)
            cage.unmount(world.home)
    print(json.dumps(world.record.facts(), indent=2) if arguments.json else world.record.text(), flush=True)
    return 1 if world.record.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
