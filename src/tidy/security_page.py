#!/usr/bin/env python3
"""docs/security.md is true: security_page.py ROOT prints what isn't, and fails then.

- Every test that it names exists: `Suite.Test` as TEST(Suite, Test) (or TEST_F, TEST_P), `fuzz.NAME` as engram_fuzz(NAME …), and
  "a name" in `FILE` as a text of that file.
- Every limit has the value that the page says: `NAME` in `FILE` as it is defined there, `--setting` as its default. Its last cell names
  the test of it, or has a dash.
"""
import pathlib
import re
import sys

PAGE = "docs/security.md"
UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "s": 1}


def known_tests(root):
    names = set()
    for path in (*(root / "src").rglob("*.cc"), *(root / "tests").rglob("*.cc")):
        names |= {f"{suite}.{test}" for suite, test in re.findall(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", path.read_text(), re.MULTILINE)}
    for path in (root / "src").rglob("CMakeLists.txt"):
        names |= {f"fuzz.{name}" for name in re.findall(r"^engram_fuzz\((\w+)", path.read_text(), re.MULTILINE)}
    return names


def check_tests(root, page):
    names = known_tests(root)
    cells = [line.rsplit("|", 2)[1] for line in page.splitlines() if line.startswith("|") and line.count("|") in (4, 6)]
    cells += [line for line in page.splitlines() if not line.startswith("|")]
    for cell in cells:
        for name in re.findall(r"`((?:fuzz|[A-Z]\w*)\.\w+)`", cell):
            if name not in names and name != "Suite.Test":
                yield f"{PAGE}: there is no test {name}"
        for name, path in re.findall(r'`"([^"]+)"` in `([^`]+)`', cell):
            file = root / path
            if not file.is_file() or name not in file.read_text():
                yield f"{PAGE}: there is no test \"{name}\" in {path}"


def number_of(text):
    """"32 KiB", "4,096", "30 s" as a number; nothing for other texts."""
    match = re.fullmatch(r"([\d,]+) ?(\w*)", text)
    return int(match[1].replace(",", "")) * UNITS[match[2]] if match and match[2] in UNITS else None


def value_of(expression):
    """The number of a constant's definition, as "16UZ << 20U" or "std::chrono::milliseconds{30'000}"."""
    plain = re.sub(r"(?<=\d)'(?=\d)", "", expression)
    plain = re.sub(r"\b(\d+)(?:U|L|UZ|UL|ULL|LL)\b", r"\1", plain)
    return eval(plain, {"__builtins__": {}}) if re.fullmatch(r"[\d<* +()-]+", plain) else None  # digits and operators alone


def defined(text, name):
    """The expressions that a constant or a member of this name is defined by."""
    found = re.findall(rf"\b{name}\s*=\s*([^;,]+?)\s*;", text) + re.findall(rf"\b{name}\{{([^}}]*)\}};", text)
    return [value for value in map(value_of, found) if value is not None]


def check_limits(root, page):
    table = page.split("## Limits", 1)[-1].split("\n## ", 1)[0]
    settings = (root / "src/config/setting_table.cc").read_text()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("input", "---"):
            continue
        if len(cells) != 5 or not re.fullmatch(r"-|`.+`.*", cells[4]):
            yield f"{PAGE}: {cells[0]}: the row must end with its test, or with a dash"
            continue
        what, limit, where, _, _ = cells
        place = re.match(r"`(\w+)` in `([^`]+)`", where)
        setting = re.match(r"`--([\w-]+)`", where)
        if place:
            file = root / place[2]
            values = defined(file.read_text(), place[1]) if file.is_file() else []
            wanted = number_of(limit)
            if wanted not in values and wanted is not None and limit.endswith(" s"):
                wanted *= 1000  # such constants are in milliseconds
            if wanted is None or wanted not in values:
                yield f"{PAGE}: {what}: {place[2]} defines {place[1]} as {values or 'nothing'}, the page says {limit}"
        elif setting:
            default = re.search(rf'\.name = "{setting[1]}",.*?\.default_text = "([^"]*)"', settings, re.DOTALL)
            if not default or default[1] != limit:
                yield f"{PAGE}: {what}: the default of --{setting[1]} is {default and default[1]!r}, the page says {limit}"
        elif limit and not re.match(r"a position's type", where):
            yield f"{PAGE}: {what}: \"{where}\" says no place that can be looked at"


def findings(root):
    page = (root / PAGE).read_text()
    yield from check_tests(root, page)
    yield from check_limits(root, page)


def main():
    found = list(findings(pathlib.Path(sys.argv[1]).resolve()))
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
