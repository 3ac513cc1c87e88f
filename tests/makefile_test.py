#!/usr/bin/env python3
"""What the Makefile's benchmark targets run: makefile_test.py MAKEFILE. The program is a script that writes down how it was called."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

MAKEFILE = pathlib.Path(sys.argv.pop(1)).resolve()
MAKE = shutil.which("make")


@unittest.skipUnless(MAKE, "make is not there")
class BenchTargetsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="engram-makefile-"))
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(MAKEFILE, self.folder / "Makefile")
        self.script("dev", "exit 0")

    def script(self, name, text):
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def make(self, target, measures=0, reports=0):
        self.script("engram", f'echo "$2 $*" >> calls; [ "$2" = all ] && exit {measures}; exit {reports}')
        (self.folder / "calls").unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in ("MFLAGS", "MODEL")}
        done = subprocess.run([MAKE, target], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done, (self.folder / "calls").read_text().splitlines()

    def test_the_report_and_the_readme_follow_what_was_measured(self):
        for target, size in (("bench", "quick"), ("bench-full", "full")):
            done, calls = self.make(target)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([call.split()[0] for call in calls], ["all", "report"])
            self.assertIn(f"--size {size}", calls[0])
            self.assertIn("--readme README.md", calls[1])

    def test_a_failure_is_reported_and_stays_one(self):
        done, calls = self.make("bench", measures=3)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Error 3", done.stderr)
        self.assertEqual([call.split()[0] for call in calls], ["all", "report"])
        done, calls = self.make("bench", reports=4)
        self.assertIn("Error 4", done.stderr)


if __name__ == "__main__":
    unittest.main()
