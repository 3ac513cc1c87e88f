#!/usr/bin/env python3
"""Each house rule finds what breaks it, and lets pass what doesn't."""
import pathlib
import tempfile
import unittest

import tidy


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("src/store/CMakeLists.txt", "engram_module(store SOURCES a.cc) # b.cc\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def findings(self):
        return list(tidy.check_tree(self.root))

    def assert_finds(self, name, text, *expected):
        self.write(name, text)
        found = self.findings()
        self.assertEqual(len(found), len(expected), found)
        for finding, part in zip(found, expected):
            self.assertIn(part, finding)

    def test_layers_below_may_be_included(self):
        self.assert_finds("src/store/a.cc", '#include "core/ids.h"\n#include "engram/error.h"\n#include "store/x.h"\n#include <vector>\n')

    def test_layers_beside_and_above_may_not(self):
        self.assert_finds("src/store/a.cc", '\n#include "engine/model.h"\n#include "agents/x.h"\n',
                          "src/store/a.cc:2: store may not include engine/model.h", "agents/x.h")

    def test_public_headers_know_no_layer(self):
        self.assert_finds("include/engram/a.h", '#include "core/ids.h"\n', "public may not include core/ids.h")

    def test_foreign_headers_stay_in_their_layer(self):
        self.assert_finds("src/store/a.cc", "#include <llama.h>\n#include <ggml-backend.h>\n", "only engine", "only engine")
        self.assert_finds("src/engine/a.h", "#include <llama.h>\n#include <gguf.h>\n", "only engine", "only engine")  # the store's, still

    def test_unknown_layer(self):
        self.assert_finds("src/new/a.h", "", "the layer 'new' is unknown")

    def test_long_function(self):
        body = "namespace n {\nint f(int a,\n      int b) {\n" + "    ++a;  // }\n" * 66 + "    return a;\n%s}\n}\n"
        self.assert_finds("src/store/a.h", body % "")
        self.assert_finds("src/store/a.h", body % "    ;\n", "src/store/a.h:2: f has 71 lines; at most 70")

    def test_long_class_and_table_are_no_functions(self):
        self.assert_finds("src/store/a.h", "struct S {\n" + "    int f() { return 1; }\n" * 80 + "};\n")
        self.assert_finds("src/store/a.h", "const int kTable[] = {\n" + "    f(1),\n" * 80 + "};\n")

    def test_methods_lambdas_and_literals(self):
        text = "class C {\n    C() : a_{1} {}\n    void g() const noexcept {\n        auto l = [](char c) { return c == '{'; };\n" \
               "        auto s = \"}\";\n        auto n = 1'000;\n    }\n};\n"
        self.assertEqual([(name, length) for name, _, length in tidy.functions(text) if name == "g"], [("g", 5)])

    def test_long_file(self):
        self.assert_finds("src/store/a.h", "int x;\n" * 501, "501 lines; at most 500")

    def test_ratchet_may_only_shrink(self):
        self.write("src/store/a.h", "int x;\n" * 510)
        self.assert_finds("src/tidy/ratchet.txt", "# why\nsrc/store/a.h 510\n")
        self.assert_finds("src/tidy/ratchet.txt", "src/store/a.h 520\n", "from 520 to 510")
        self.assert_finds("src/tidy/ratchet.txt", "src/store/a.h 505\n", "at most 505")
        self.assert_finds("src/store/a.h", "", "needs no exception any more")

    def test_each_kind_of_file_has_its_own_id(self):
        self.assert_finds("src/store/a.h", "kind = {.application_id = 0x11};\n")
        self.assert_finds("src/store/b.h", "kind = {.application_id = 0x12};\n")
        self.assert_finds("src/store/b.h", "kind = {.application_id = 0x11};\n", "src/store/b.h: the application_id 0x11 is that of src/store/a.h")

    def test_every_source_is_listed(self):
        self.assert_finds("src/store/a.cc", "")
        self.assert_finds("src/store/b.cc", "", "src/store/b.cc: not listed in src/store/CMakeLists.txt")
        self.write("src/store/b.cc", "")
        self.assert_finds("src/store/deep/c_test.cc", "", "b.cc", "c_test.cc")

    def test_words(self):
        self.assert_finds("docs/a.md", "see http://localhost:8000 and https://github.com/a/b, under /tmp/x\n")
        self.assert_finds("docs/a.md", "http:/" "/mirror.invalid/x\n", "the host name mirror.invalid")
        self.assert_finds("docs/a.md", "cd /ro" "ot/x\n", "somebody's machine")
        self.assert_finds("docs/a.md", "FIX" "ME later\n", "a note to self")


if __name__ == "__main__":
    unittest.main()
