#!/usr/bin/env python3
"""tools/fuzz without libFuzzer: a program that merges as it does, and what then lies in the corpus."""
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parent.parent / "tools" / "fuzz"
# Takes all inputs of the second folder over to the first one, named by their content, no longer than it is told; fails when one says so.
MERGES = """#!/usr/bin/env python3
import hashlib, pathlib, sys
assert "-merge=1" in sys.argv
[most] = [int(word[9:]) for word in sys.argv if word.startswith("-max_len=")]
into, source = map(pathlib.Path, sys.argv[-2:])
for path in source.iterdir():
    data = path.read_bytes()
    if data == b"crash":
        sys.exit(77)
    (into / hashlib.sha1(data[:most]).hexdigest()).write_bytes(data[:most])
"""


class Merge(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        loader = importlib.machinery.SourceFileLoader("fuzz_tool", str(TOOL))
        self.tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("fuzz_tool", loader))
        loader.exec_module(self.tool)
        self.tool.BUILD = self.folder / "build"
        self.corpus, self.grown = self.folder / "corpus", self.folder / "build" / "corpora" / "json"
        self.corpus.mkdir()
        self.grown.mkdir(parents=True)
        (self.corpus / "plain").write_bytes(b"{}")
        program = self.folder / "json_fuzz"
        program.write_text(MERGES)
        program.chmod(0o700)
        (self.folder / "build" / "fuzzers.txt").write_text(f"json {program} {self.corpus} - 65536\n")

    def merge(self):
        with contextlib.redirect_stdout(io.StringIO()):
            return self.tool.main(["--merge"])

    def names(self):
        return sorted(path.name for path in self.corpus.iterdir())

    def test_takes_the_smallest_as_far_as_there_is_room(self):
        for size in range(1, 100):
            (self.grown / f"{size:03}").write_bytes(b"x" * size)
        self.assertEqual(self.merge(), 0)
        sizes = sorted(path.stat().st_size for path in self.corpus.iterdir() if path.name.startswith("found-"))
        self.assertEqual(sizes, list(range(1, self.tool.MOST_FILES)))
        self.assertEqual((self.corpus / "plain").read_bytes(), b"{}")
        self.assertEqual(self.merge(), 0)
        self.assertEqual(len(self.names()), self.tool.MOST_FILES)

    def test_takes_no_large_ones(self):
        (self.grown / "large").write_bytes(b"y" * 10_000)
        self.assertEqual(self.merge(), 0)
        self.assertTrue(all(path.stat().st_size <= self.tool.MOST_BYTES for path in self.corpus.iterdir()))

    def test_a_program_that_fails_changes_nothing(self):
        (self.grown / "bad").write_bytes(b"crash")
        self.assertEqual(self.merge(), 1)
        self.assertEqual(self.names(), ["plain"])

    def test_nothing_was_found_yet(self):
        self.grown.rmdir()
        self.assertEqual(self.merge(), 0)
        self.assertEqual(self.names(), ["plain"])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
