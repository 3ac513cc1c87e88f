"""What happened: operations and faults by kind, what disturbed the server when, and everything that was lost or wrong."""
import collections
import contextlib
import json
import threading
import time

OUTCOMES = ("done", "refused", "open", "unreachable", "failed")


class Disturbance:
    """A time in which some refusals, or breaks of connections, are what a user has to expect."""

    def __init__(self, name, statuses, breaks):
        self.name, self.statuses, self.breaks = name, frozenset(statuses), breaks
        self.began, self.ended = time.monotonic(), None

    def overlaps(self, since):
        return self.ended is None or self.ended >= since


class Record:
    def __init__(self, seed):
        self.seed, self.lock = seed, threading.RLock()
        self.operations = collections.defaultdict(collections.Counter)  # by kind: outcomes
        self.faults, self.skipped, self.notes = collections.Counter(), {}, {}
        self.findings, self.disturbances = [], []
        self.checks, self.compared = collections.Counter(), collections.Counter()
        self.near_ties = []
        self.peaks = {}
        self.round = 0
        self.started = time.monotonic()

    def finding(self, kind, detail):
        with self.lock:
            self.findings.append({"kind": kind, "detail": detail, "round": self.round,
                                  "second": round(time.monotonic() - self.started, 1)})

    def operation(self, kind, outcome):
        with self.lock:
            self.operations[kind][outcome] += 1

    def check(self, name, complaints=()):
        with self.lock:
            self.checks[name] += 1
            for complaint in complaints:
                self.finding(name, complaint)

    def peak(self, name, value):
        with self.lock:
            self.peaks[name] = max(self.peaks.get(name, 0), value)

    @contextlib.contextmanager
    def disturbance(self, name, statuses=(), breaks=False, tail_s=0.0, until_rest=False):
        """`tail_s`: how long it goes on after the cause has been lifted, since the server learns of that later; `until_rest`: at
        least until the round's end, when all is put in order."""
        this = Disturbance(name, statuses, breaks)
        with self.lock:
            self.disturbances.append(this)
        try:
            yield
        finally:
            this.ended = None if until_rest else time.monotonic() + tail_s

    def at_rest(self):
        """Nothing is under way."""
        with self.lock:
            for this in self.disturbances:
                this.ended = this.ended or time.monotonic()

    def excuse(self, since, status=None):
        """The name of what explains a refusal with that status (None: a break; "failed": of work, whose failures have no statuses) of
        a request that began then; None: nothing does."""
        with self.lock:
            for this in self.disturbances:
                if this.overlaps(since) and (this.breaks if status is None else status == "failed" or status in this.statuses):
                    return this.name
        return None

    def facts(self):
        return {
            "seed": self.seed, "seconds": round(time.monotonic() - self.started, 1), "rounds": self.round,
            "operations": {kind: {outcome: n for outcome, n in self.operations[kind].items() if n} for kind in sorted(self.operations)},
            "faults": dict(sorted(self.faults.items())), "skipped": self.skipped, "notes": self.notes,
            "checks": dict(sorted(self.checks.items())), "answers": dict(sorted(self.compared.items())),
            "near_ties": self.near_ties, "peaks": self.peaks, "findings": self.findings,
        }

    def text(self):
        facts = self.facts()
        lines = [f"torture, seed {self.seed}: {facts['seconds']:.0f} s, {self.round} rounds", "",
                 f"{'operation':22}" + "".join(f"{outcome:>12}" for outcome in OUTCOMES)]
        for kind, outcomes in facts["operations"].items():
            lines.append(f"{kind:22}" + "".join(f"{outcomes.get(outcome, 0) or '-':>12}" for outcome in OUTCOMES))
        lines += ["", "faults: " + ", ".join(f"{name} {n}" for name, n in facts["faults"].items())]
        lines += [f"skipped: {name}: {why}" for name, why in self.skipped.items()]
        lines += [f"{name}: {note}" for name, note in self.notes.items()]
        lines += ["checks: " + ", ".join(f"{name} {n}" for name, n in facts["checks"].items())]
        lines += ["answers: " + ", ".join(f"{n} {name}" for name, n in facts["answers"].items())]
        lines += ["peaks: " + ", ".join(f"{name} {n}" for name, n in facts["peaks"].items())]
        lines += [f"near tie: {json.dumps(tie)}" for tie in self.near_ties]
        lines += ["", "lost or wrong: " + (str(len(self.findings)) if self.findings else "nothing")]
        lines += [f"  round {f['round']}, second {f['second']}: {f['kind']}: {f['detail']}" for f in self.findings]
        return "\n".join(lines)
