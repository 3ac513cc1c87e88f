"""Where the server under test lives: its process, its home on a small disk, its network, and the shim before its disk and clock."""
import ctypes
import fcntl
import json
import mmap
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

INSIDE = "TORTURE_NAMESPACES"  # set for the driver that runs in namespaces of its own: how it got there
DISK_BYTES = 96 << 20
START_S = 120


def enter_namespaces(arguments):
    """Starts this program again with mounts and a network of its own, where the machine allows that; else returns why not."""
    if INSIDE in os.environ:
        return None
    why = []
    for how, options in (("root", []), ("user namespace", ["--user", "--map-root-user"])):
        command = ["unshare", "--mount", "--net", *options]
        try:
            tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        except OSError as error:
            return f"unshare: {error.strerror}"
        if tried.returncode == 0:
            os.execvpe(command[0], [*command, "--", *arguments], {**os.environ, INSIDE: how})
        why.append(tried.stderr.strip())
    return "; ".join(why)


def in_namespaces():
    return INSIDE in os.environ


def set_loopback(up):
    """The only link of the driver's network namespace: without it nothing reaches the server, and nothing comes back."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16xh14x", fcntl.ioctl(any_socket, siocgifflags, request))[0]
        flags = flags | iff_up if up else flags & ~iff_up
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", b"lo", flags))


def mount_small_disk(folder):
    """Returns why there is none, or None. By libc: the toolchain's tree has no mount program."""
    options = f"size={DISK_BYTES},mode=700".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"torture", bytes(folder), b"tmpfs", 0, options) == 0:
        return None
    return os.strerror(ctypes.get_errno())


def unmount(folder):
    ctypes.CDLL(None).umount2(bytes(folder), 2)  # MNT_DETACH


def free_port():
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]


class Shim:
    """The three numbers of shim.c."""
    CLOCK, WRITE, SYNC = range(3)

    def __init__(self, library, folder):
        self.library, self.file = library, folder / "shim"
        self.file.write_bytes(bytes(24))
        with open(self.file, "r+b") as handle:
            self.orders = mmap.mmap(handle.fileno(), 24)

    def order(self, which, number):
        struct.pack_into("q", self.orders, 8 * which, number)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "TORTURE_SHIM": str(self.file)}


class Server:
    """`engram serve` on a home folder. Started and killed by the thread that made it: the process dies with that one."""

    def __init__(self, program, home, flags, log, shim=None):
        self.program, self.home, self.flags, self.log = program, home, flags, log
        self.port, self.process, self.shim = free_port(), None, shim
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("ENGRAM_", "TORTURE_"))}
        self.expected_down = True  # we ended it, or it never ran

    def spawn(self):
        with_us = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []  # however this driver ends
        command = [*with_us, self.program, "serve", "--json", "--home", str(self.home), "--port", str(self.port), *map(str, self.flags)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env={**self.environment, **(self.shim.environment() if self.shim else {})},
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        return self.process

    def start(self):
        """Returns None when it answers, else why it doesn't."""
        self.spawn()
        self.expected_down = False
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline() if ready else b""
        if line and "address" in json.loads(line):
            return None
        self.expected_down = True
        if not ready:
            self.process.kill()
            return f"no word for {START_S} s after its start"
        return f"ended with status {self.process.wait()} at its start: {self.last_words()}"

    def kill(self, how=signal.SIGKILL):
        self.expected_down = True
        self.process.send_signal(how)
        return self.process.wait(timeout=START_S)

    def signal(self, number):
        self.process.send_signal(number)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def last_words(self, count=6):
        text = pathlib.Path(self.log).read_text(errors="replace") if pathlib.Path(self.log).exists() else ""
        return " | ".join(text.splitlines()[-count:])

    def command(self, *words, expect=(0,)):
        """Another command of the program on the same home; its standard output."""
        done = subprocess.run([self.program, *map(str, words), "--home", str(self.home)], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode not in expect:
            raise RuntimeError(f"engram {' '.join(map(str, words))}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def command_json(self, *words, expect=(0,)):
        return json.loads(self.command(*words, "--json", expect=expect))

    def limit_files(self, size=resource.RLIM_INFINITY):
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def usage(self):
        folder = pathlib.Path("/proc") / str(self.process.pid)
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return {"resident_mib": int(status["VmRSS"].split()[0]) // 1024, "threads": int(status["Threads"]),
                "descriptors": len(os.listdir(folder / "fd"))}


def wait_for(condition, limit_s):
    """Polls until the condition holds; returns whether it came to."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
