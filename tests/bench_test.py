#!/usr/bin/env python3
"""engram bench as a user runs it: bench_test.py ENGRAM. Every benchmark with tiny models, a few tokens and one repetition, beside
llama-server where there is one. What is looked at is that figures, checks and pages are there; never a time."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ENGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
PEER = shutil.which("llama-server")
COMPARED = ("resume", "save", "fanout", "throughput", "sessions", "interference", "http", "replay")
EXAMINED = ("fanout", "throughput", "sessions", "replay")  # a trained model answers before anything is measured


class BenchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="engram-bench-"))
        cls.results = cls.folder / "results"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def engram(self, *arguments, status=0):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ENGRAM_")}
        done = subprocess.run([ENGRAM, "bench", *arguments, "--home", str(self.folder / "home"), "--json"], capture_output=True,
                              text=True, env=environment, cwd=self.folder, timeout=600, check=False)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return json.loads(done.stdout)

    def measure(self, name, *more, out=None):
        return self.engram(name, "--size", "smoke", "--threads", "1", "--out", str(out or self.results), *more)

    def look_at(self, record):
        self.assertEqual((record["format"], record["size"]), (1, "smoke"))
        self.assertTrue(record["rows"], record)
        self.assertTrue(record["machine"]["processor"])
        self.assertEqual(record["configuration"]["asked"]["threads"], 1)
        for row in record["rows"]:
            self.assertTrue(row["labels"] and row["figures"], row)
            for figure in row["figures"]:
                self.assertGreaterEqual(figure["n"], 1)
                self.assertLessEqual(figure["low"], figure["median"], figure)
                self.assertLessEqual(figure["median"], figure["high"], figure)
        for check in record["checks"]:
            self.assertTrue(check["passed"], check)
        highlighted = [(h["labels"], h["figure"]) for h in record["highlights"]]
        for labels, figure in highlighted:
            rows = [row for row in record["rows"] if row["labels"] == labels]
            self.assertTrue(rows and any(f["name"] == figure for f in rows[0]["figures"]), (labels, figure))
        for promise in record["promises"]:
            for place in [promise] + ([promise["against"]] if "against" in promise else []):
                self.assertIn(place["labels"], [row["labels"] for row in record["rows"]], promise)

    def sides(self, record):
        return {figure["side"] for row in record["rows"] for figure in row["figures"]}

    def look_at_all(self, name):
        records = self.measure(name, "--again")
        self.assertTrue(records)
        for record in records:
            self.look_at(record)
            if PEER and name in COMPARED:
                self.assertTrue({"engram", "llama-server"} <= self.sides(record), self.sides(record))
                # Of one conversation in single precision all answers are equal; of several, near-ties of random weights may fall
                # either way, and the record says how many.
                told = [c["detail"] for c in record["checks"] if c["name"].startswith("both answer alike")]
                if name not in ("resume", "save"):
                    told += [note for note in record["notes"] if "answers are equal" in note]
                if name not in ("http", "interference"):
                    self.assertTrue(told, record["checks"])
                if name in EXAMINED:
                    alike = [c for c in record["checks"] if c["name"].startswith("both answer alike") and "engram-nano" in c["name"]]
                    self.assertTrue(alike, record["checks"])
                self.assertEqual(record["configuration"]["llama-server"]["batch_tokens"], 2048)
        return records

    def test_every_benchmark_is_tried_here(self):
        names = {entry["benchmark"] for entry in self.engram("list", "--size", "smoke")}
        tried = {name.removeprefix("test_run_") for name in dir(self) if name.startswith("test_run_")}
        self.assertEqual(names, tried)

    def test_run_resume(self):
        for record in self.look_at_all("resume"):
            ways = {row["labels"]["memory"] for row in record["rows"]}
            self.assertEqual(len(ways), 6, ways)
            on_disk = [f for row in record["rows"] if row["labels"]["memory"] == "after a restart" and row["labels"]["tokens"] == 300
                       for f in row["figures"] if f["name"] == "tokens reused"]
            self.assertTrue(on_disk)
            for figure in on_disk:
                self.assertGreater(figure["median"], 200, figure)

    def test_run_library(self):
        (record,) = self.look_at_all("library")
        self.assertEqual(len([c for c in record["checks"] if "bit for bit" in c["name"]]), 2)
        for row in record["rows"]:
            figures = {(f["name"], f["side"]): f["median"] for f in row["figures"]}
            self.assertEqual(figures["tokens reused", "engram"], row["labels"]["tokens"])
            for name in ("first token, cold", "first token, in the context", "first token, disk", "of that restoring", "restored",
                         "saving a turn of 100 tokens", "written for it"):
                self.assertGreater(figures[name, "engram"], 0, name)
            self.assertIn(("first token, disk", "floor"), figures)

    def test_run_save(self):
        (record,) = self.look_at_all("save")
        (library,) = self.measure("library", out="none")
        (hundred,) = [f["median"] for f in library["rows"][0]["figures"] if f["name"] == "KV of that turn"]
        for row in record["rows"]:
            written = [f for f in row["figures"] if f["name"] == "written for the turn" and f["side"] == "engram"]
            self.assertGreater(written[0]["median"], 0)
            # The question and the template come on top of the hundred tokens.
            (floor,) = [f for f in row["figures"] if f["name"] == "written for the turn" and f["side"] == "floor"]
            self.assertEqual(floor["n"], written[0]["n"])
            self.assertGreater(floor["median"], hundred)

    def test_run_fanout(self):
        (record,) = self.look_at_all("fanout")
        at_once = record["rows"][0]
        computed = [f for f in at_once["figures"] if f["name"] == "prompt tokens computed" and f["side"] == "engram"]
        # Three agents with 300 tokens in common: read once.
        self.assertLess(computed[0]["median"], 600)
        (saved,) = [row for row in record["rows"] if row["labels"]["asked"] == "saved"]
        on_disk = {f["side"]: f["median"] for f in saved["figures"] if f["name"] == "bytes on disk"}
        self.assertEqual(set(on_disk), {"engram", "floor"} | ({"llama-server"} if PEER else set()))
        self.assertTrue(all(of > 0 for of in on_disk.values()), on_disk)

    def test_run_throughput(self):
        (record,) = self.look_at_all("throughput")
        self.assertEqual([promise["figure"] for promise in record["promises"]], ["decoded together"] * 2)
        (row,) = [row for row in record["rows"] if row["labels"]["agents"] == 2]
        for side in {"engram"} | ({"llama-server"} if PEER else set()):
            rates = {f["name"]: f["median"] for f in row["figures"] if f["side"] == side}
            for name in ("decoded together", "one after another", "one after another, without reading"):
                self.assertGreater(rates[name], 0, (side, name))

    def test_run_sessions(self):
        (record,) = self.look_at_all("sessions")
        ours = {f["name"] for f in record["rows"][0]["figures"] if f["side"] == "engram"}
        self.assertLessEqual({"all of it", "first token of a first turn", "first token of a later turn", "of that restoring",
                              "between two tokens", "from the last token to the answer's end"}, ours)
        if PEER:
            beside, over_days = [{f["side"] for f in row["figures"]} for row in record["rows"]]
            self.assertIn("llama-server, idle slots cached", beside)
            self.assertNotIn("llama-server, idle slots cached", over_days)

    def test_run_interference(self):
        (record,) = self.look_at_all("interference")
        self.assertEqual([row["labels"]["beside"] for row in record["rows"]],
                         ["nothing", "a prefill", "restores from disk", "saves", "turns that aren't stored"])
        for row in record["rows"]:
            told = {f["side"] for f in row["figures"] if f["name"] == "between two tokens"}
            self.assertEqual(told, {"engram"} | ({"llama-server", "llama-server, own streams"} if PEER else set()))

    def test_run_scale(self):
        self.look_at_all("scale")

    def test_run_http(self):
        (record,) = self.look_at_all("http")
        (waited,) = [check for check in record["checks"] if check["name"] == "10 streams waited"]
        for side in self.sides(record) - {"floor"}:
            self.assertIn(f"{side}: 10", waited["detail"])
        self.assertEqual(len(record["plots"]), 2)

    def test_run_lossy(self):
        (record,) = self.look_at_all("lossy")
        types = ["exact", "f16", "q8_0", "q4_0"]
        rows = {row["labels"]["stored as"]: {f["name"]: f["median"] for f in row["figures"]}
                for row in record["rows"] if set(row["labels"]) == {"stored as"}}
        self.assertEqual(list(rows), types)
        by_length = [row["labels"]["stored as"] for row in record["rows"] if "restored tokens" in row["labels"]]
        self.assertEqual(by_length, [of for of in types for _ in range(3)])
        for figures in rows.values():
            self.assertGreater(figures["places compared"], 3 * 24)
            self.assertGreater(figures["of these where the model isn't sure"], 3 * 8)
        # With a trained model, fewer bits are farther away, and what 99 of 100 places keep within lies between mean and most.
        self.assertEqual(rows["exact"]["largest divergence (nats)"], 0)
        self.assertEqual(rows["exact"]["same next token"], 1)
        self.assertLess(rows["q8_0"]["mean divergence (nats)"], rows["q4_0"]["mean divergence (nats)"])
        self.assertGreater(rows["q8_0"]["mean divergence (nats)"], 1e-7)
        for of in ("q8_0", "q4_0"):
            mean, most, largest = (rows[of][name] for name in ("mean divergence (nats)", "divergence of 99 of 100 places within (nats)",
                                                               "largest divergence (nats)"))
            self.assertTrue(mean < most <= largest, rows[of])
        told = {(h["labels"]["stored as"], h["figure"]) for h in record["highlights"]}
        for of in ("q8_0", "q4_0"):
            self.assertLessEqual({(of, "mean divergence (nats)"), (of, "same next token")}, told)

    def test_run_replay(self):
        (record,) = self.look_at_all("replay")
        self.assertEqual(record["configuration"]["trace"]["tools"], 3)
        figures = {(f["name"], f["side"]): f["median"] for f in record["rows"][0]["figures"]}
        reused, computed = (figures["prompt tokens " + what, "engram"] for what in ("reused", "computed"))
        # Tools, calls whose arguments come back in another order, and their results don't keep it from knowing the conversation.
        self.assertGreater(reused, 0.45 * (reused + computed))

    def test_what_is_there_is_not_measured_again(self):
        self.measure("library")
        self.assertEqual(self.measure("library"), [])
        self.assertEqual(len(self.measure("library", "--again")), 1)
        self.assertEqual(len(self.measure("library", "--commit", "another")), 1)

    def test_an_interrupted_one_goes_on(self):
        results = self.folder / "interrupted"
        partial = results / "library-gemma3-270m-f16-smoke.json.partial"
        kept = []
        for commit in map(str, range(20)):  # the last part may be over before it is killed
            running = subprocess.Popen([ENGRAM, "bench", "library", "--size", "smoke", "--threads", "1", "--out", results, "--commit",
                                        commit, "--home", self.folder / "home"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, cwd=self.folder, start_new_session=True)
            while running.poll() is None and not partial.exists():
                time.sleep(0.002)
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            kept = json.loads(partial.read_text()) if partial.exists() else []
            if len(kept) == 1:
                break
        (first,) = kept
        self.assertEqual(first["name"], "67 tokens")
        (record,) = self.measure("library", "--commit", commit, out=results)
        self.look_at(record)
        self.assertEqual([row["labels"]["tokens"] for row in record["rows"]], [67, 300])
        self.assertEqual(record["rows"][0], first["found"]["rows"][0], "what was measured isn't measured again")
        self.assertTrue(any(note.startswith("67 tokens: measured by an earlier run") for note in record["notes"]), record["notes"])
        self.assertFalse(partial.exists())
        self.assertEqual(self.measure("library", "--commit", commit, out=results), [])

    def test_again_begins_anew(self):
        results = self.folder / "anew"
        (record,) = self.measure("library", out=results)
        partial = results / "library-gemma3-270m-f16-smoke.json.partial"
        partial.write_text(json.dumps([{"name": "67 tokens", "found": record}]))
        (again,) = self.measure("library", "--again", out=results)
        self.assertFalse([note for note in again["notes"] if "earlier run" in note])

    def test_a_report_is_made_of_the_results(self):
        self.measure("library", "--again")
        self.assertTrue((self.results / "README.md").read_text().startswith("# Measurements"))
        self.engram("report", "--results", str(self.results), "--check")
        (self.results / "README.md").write_text("something else")
        self.engram("report", "--results", str(self.results), "--check", status=2)
        self.engram("report", "--results", str(self.results))
        self.engram("report", "--results", str(self.results), "--check")

    def test_without_a_peer(self):
        (record,) = self.measure("save", "--peer", "none", out="none")
        self.assertNotIn("llama-server", self.sides(record))
        self.assertIn("without", " ".join(record["notes"]))

    def test_says_what_is_wrong(self):
        self.assertIn("no variant", self.measure_error("resume", "--variant", "no-such-model f16"))

    def measure_error(self, name, *more):
        return self.engram(name, "--size", "smoke", *more, status=2)["error"]["message"]


if __name__ == "__main__":
    unittest.main()
