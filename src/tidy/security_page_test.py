#!/usr/bin/env python3
"""What isn't true of docs/security.md is found."""
import pathlib
import tempfile
import unittest

import security_page

PAGE = """# Security

| threat | guard | test |
| --- | --- | --- |
| a | b | `Suite.IsThere`, `fuzz.there`, `"it is there"` in `tests/x.mjs` |{tests}

## Limits

| input | limit | where | beyond | test |
| --- | --- | --- | --- | --- |
| a | {bytes} | `kMax` in `src/a.h` | - | {test} |
| b | {seconds} | `timeout` in `src/a.h` | - | - |
| c | {setting} | `--max-body` | - | `fuzz.there` |

## Else
"""


class SecurityPageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in {
                "src/a.h": "inline constexpr std::size_t kMax = 16UZ << 10U;\nstd::chrono::milliseconds timeout{30'000};\n",
                "src/a_test.cc": "TEST_F(Suite, IsThere) {\n}\n",
                "src/CMakeLists.txt": "engram_fuzz(there SOURCES a_fuzz.cc)\n",
                "src/config/setting_table.cc": '{.name = "max-body",\n .default_text = "32M",\n',
                "tests/x.mjs": 'test("it is there", () => {});\n'}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.root / "docs").mkdir()

    def findings(self, **changes):
        (self.root / "docs/security.md").write_text(
            PAGE.format(**{"tests": "", "bytes": "16 KiB", "seconds": "30 s", "setting": "32M", "test": "`Suite.IsThere`"} | changes))
        return list(security_page.findings(self.root))

    def test_what_is_true_passes(self):
        self.assertEqual(self.findings(), [])

    def test_tests_that_are_not_there(self):
        for name in ("`Suite.IsGone`", "`fuzz.gone`", '`"it is gone"` in `tests/x.mjs`', '`"it is there"` in `tests/y.mjs`'):
            found = self.findings(tests=f"\n| a | b | {name} |")
            self.assertEqual(len(found), 1, name)
            self.assertIn("there is no test", found[0])

    def test_limits_without_their_test(self):
        self.assertIn("there is no test Suite.IsGone", self.findings(test="`Suite.IsGone`")[0])
        self.assertEqual(self.findings(test="-"), [])
        for cell in ("", "soon"):
            self.assertIn("must end with its test", self.findings(test=cell)[0])

    def test_limits_that_are_others(self):
        self.assertIn("defines kMax as [16384]", self.findings(bytes="32 KiB")[0])
        self.assertIn("the page says 16", self.findings(bytes="16")[0])
        self.assertIn("defines timeout", self.findings(seconds="31 s")[0])
        self.assertIn("the default of --max-body is '32M'", self.findings(setting="64M")[0])

    def test_constants_that_are_not_there(self):
        (self.root / "src/a.h").write_text("// kMax\n")
        self.assertEqual(len(self.findings()), 2)


if __name__ == "__main__":
    unittest.main()
