"""What is done to the server while clients talk to it. Each fault puts right what it did wrong before it returns; what may happen to
requests meanwhile is said with record.disturbance()."""
import os
import signal
import time

import wire

DISK_REFUSALS = (500, 503, 507)
SPARE_MODEL = "other"


def some_time(draw, least=0.2, most=1.5):
    time.sleep(draw.uniform(least, most))


def restart(world):
    why = world.server.start()
    if why is not None:
        world.record.finding("crash", f"the server doesn't start: {why}")
        raise RuntimeError(why)


def kill(world, draw):
    """kill -9, sometimes again while it starts."""
    with world.record.disturbance("kill", breaks=True):
        world.server.kill()
        restart(world)


def kill_while_starting(world, draw):
    with world.record.disturbance("kill while starting", breaks=True):
        world.server.kill()
        for _ in range(draw.randint(1, 3)):
            process = world.server.spawn()
            time.sleep(draw.uniform(0.0, 0.3))
            process.kill()
            process.wait()
        restart(world)


def terminate(world, draw):
    """SIGTERM: what runs is answered, everything is on disk, the status is 0."""
    with world.record.disturbance("terminate", statuses=(503,), breaks=True):
        status = world.server.kill(signal.SIGTERM)
        if status != 0:
            world.record.finding("crash", f"status {status} after SIGTERM: {world.server.last_words()}")
        restart(world)


def stop_and_continue(world, draw):
    world.server.signal(signal.SIGSTOP)
    some_time(draw, 0.5, 2.5)
    world.server.signal(signal.SIGCONT)


def fill(path, leave):
    """Takes all room of the file system but so many bytes."""
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
        file.truncate(max(0, file.tell() - leave))


def full_disk(world, draw):
    """No byte left on the home's file system; sometimes with a kill, so that the server has to start without room."""
    filler = world.home / "filler"
    killed = draw.random() < 0.4
    with world.record.disturbance("full disk", statuses=DISK_REFUSALS, breaks=killed):
        leave, end = draw.choice((0, 4096, 200_000)), time.monotonic() + draw.uniform(1.0, 2.5)
        while time.monotonic() < end:
            fill(filler, leave)
            time.sleep(0.02)
        if killed:
            world.server.kill()
            if world.server.start() is not None:
                world.record.checks["start refused on a full disk"] += 1
            else:
                some_time(draw, 0.3, 0.8)
        filler.unlink()
        if not world.server.running():
            restart(world)
    world.has_room_again = True


def file_size_limit(world, draw):
    with world.record.disturbance("file size limit", statuses=DISK_REFUSALS):
        world.server.limit_files(draw.choice((0, 4096, 100_000)))
        some_time(draw, 1.0, 2.5)
        world.server.limit_files()
    world.has_room_again = True


def slow_disk(world, draw):
    shim = world.server.shim
    shim.order(shim.WRITE, draw.choice((500, 2_000, 10_000)))
    shim.order(shim.SYNC, draw.choice((5_000, 50_000, 150_000)))
    some_time(draw, 1.0, 3.0)
    if draw.random() < 0.4:
        kill(world, draw)
    shim.order(shim.WRITE, 0)
    shim.order(shim.SYNC, 0)


def flip_bits(world, draw):
    """One bit in each of some stored files, in place, while the server may be reading them."""
    files = sorted((world.home / "store" / "blocks").glob("??/*.safetensors"))
    for file in draw.sample(files, min(len(files), draw.randint(1, 4))):
        place, bit = draw.random(), 1 << draw.randrange(8)
        try:
            with open(file, "r+b") as handle:
                offset = int(place * os.fstat(handle.fileno()).st_size)
                handle.seek(offset)
                byte = handle.read(1)[0] ^ bit
                handle.seek(offset)
                handle.write(bytes([byte]))
                world.flipped.setdefault(file, []).append({"inode": os.fstat(handle.fileno()).st_ino, "offset": offset, "byte": byte})
        except FileNotFoundError:
            continue  # evicted meanwhile
        world.record.checks["bits flipped"] += 1


def clock_jump(world, draw):
    """Stays until the next jump. Nine days at most either way: unnamed conversations may go after thirty."""
    hours = draw.choice((-216, -24, -1, 1, 24, 216, 0))
    world.server.shim.order(world.server.shim.CLOCK, hours * 3600 * 10**9)


QUOTAS = (("--requests", ("0", "1"), (429,)), ("--tokens-per-minute", ("0", "60"), (429,)), ("--agents", ("0", "1"), (507,)),
          ("--disk", ("0", "300KiB"), (507,)), ("--memory", ("0", "200KiB"), (507,)))


def quota(world, draw):
    tenant = draw.choice(world.tenants)
    flag, values, statuses = draw.choice(QUOTAS)
    with world.record.disturbance(f"quota {flag} of {tenant}", statuses=statuses, tail_s=8):  # the server looks every few seconds
        world.server.command("tenant", "set", tenant, flag, draw.choice(values))
        some_time(draw, 1.5, 3.0)
        world.server.command("tenant", "set", tenant, flag, "unlimited")


def load(world, path, name):
    return wire.ask(world.port, "POST", "/v1/models/load", {"path": str(path), "name": name}, world.admin)


def model_switch(world, draw):
    """Another model, a file that isn't one, and back again."""
    world.earlier["process"] = None  # what the server counts of its memory begins anew
    # Agents that came to be meanwhile are the other model's, until somebody lets ours adopt them.
    with world.record.disturbance("model switch", statuses=(404, 409, 503), until_rest=True):
        reply = load(world, world.spare_model, SPARE_MODEL)
        if reply.status == 200:
            some_time(draw, 0.3, 1.0)
        elif reply.status != 503:
            world.record.finding("refused", f"the model can't be changed: {reply.status} {reply.body[:300]!r}")
        if load(world, world.not_a_model, "nothing").status not in (400, 503):
            world.record.finding("wrong", "a file that isn't a model was loaded")
        for _ in range(5):
            reply = load(world, world.model, "engram-nano")
            if reply.status == 200:
                return
        world.record.finding("refused", f"the model can't be changed back: {reply.status} {reply.body[:300]!r}")


def cut(world, draw):
    """The network between clients and server is gone for a while; connections stay open on both sides."""
    with world.record.disturbance("network cut", breaks=True):
        world.cut(True)
        some_time(draw, 0.3, 2.0)
        world.cut(False)


FAULTS = (kill, kill_while_starting, terminate, stop_and_continue, full_disk, file_size_limit, slow_disk, flip_bits, clock_jump, quota,
          model_switch, cut)
