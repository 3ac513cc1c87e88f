#!/usr/bin/env python3
"""House rules that no compiler checks, as a test: tidy.py ROOT prints what breaks one and fails then.

- Layers: a file includes only headers of its own layer and of those that LAYERS allows it; the foreign headers in CONFINED belong to
  one layer each.
- Size: a file has at most 500 lines, a function at most 70. ratchet.txt lists exceptions ("PATH LINES" and "PATH:FUNCTION LINES"); an
  exception may only shrink, and goes when nothing needs it.
- Each kind of database file has an application_id of its own.
- Every source beside a CMakeLists.txt is listed in it, so that no test is forgotten.
- No path of somebody's machine, no address of a host that isn't in HOSTS, no notes to self.
"""
import pathlib
import re
import sys

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

# What each layer may include, beside itself and the public headers.
GROUND = {"core", "ports"}
MEANS = GROUND | {"store", "registry", "tenants", "engine", "chat"}
LAYERS = {
    "public": set(),
    "core": set(),
    "ports": {"core"},
    "store": GROUND,
    "sqlite": {"core"},
    "registry": GROUND | {"sqlite"},
    "tenants": GROUND | {"sqlite"},
    "engine": GROUND,
    "chat": GROUND,
    "config": GROUND | {"chat"},
    "protocol": {"core", "chat"},
    "http": GROUND,
    "mcp": {"core", "chat", "config", "protocol", "http"},
    "a2a": {"core", "chat", "config", "protocol", "http"},
    "scheduler": MEANS,
    "agents": MEANS | {"scheduler"},
    "teams": MEANS | {"sqlite", "scheduler", "agents", "config", "mcp", "a2a"},
    "workflow": MEANS | {"sqlite", "agents", "teams"},
    "server": MEANS | {"sqlite", "scheduler", "agents", "teams", "mcp", "a2a", "workflow", "protocol", "http"},
    "eval": MEANS | {"agents", "config", "http"},
    "bench": MEANS | {"scheduler", "agents", "eval", "http"},
    "cli": MEANS | {"scheduler", "agents", "teams", "mcp", "a2a", "workflow", "server", "bench", "eval", "config"},
}

# Foreign headers that only some layers may know: a pattern of the header's name, and the layers.
CONFINED = (
    (re.compile(r"(llama|ggml|gguf)[a-z-]*\.h$"), {"engine"}),
    (re.compile(r"sqlite3\.h$"), {"sqlite", "registry"}),
    (re.compile(r"minja/"), {"chat"}),
    (re.compile(r"yaml-cpp/"), {"workflow"}),
    (re.compile(r"curl/"), {"http"}),
    (re.compile(r"boost/"), {"http", "mcp"}),
    (re.compile(r"openssl/"), {"http", "tenants"}),
    (re.compile(r"prometheus/"), {"server"}),
    (re.compile(r"CLI/|isocline\.h$"), {"cli", "config"}),
)

HOSTS = {"localhost", "127.0.0.1", "example.com", "example.org", "keepachangelog.com", "semver.org", "github.com", "arxiv.org",
         "www.sqlite.org", "json-schema.org", "no-color.org", "www.w3.org"}
CORPORA = ("tests", "corpora")  # what somebody might send: any words
TEXT_FOLDERS = ("src", "include", "examples", "bench", "tests", "tools", "cmake", "docs", ".ci")
CPP = (".h", ".cc")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
NOISE = re.compile(
    r'R"([^()\\ ]{0,16})\(.*?\)\1"'        # raw strings
    r'|"(?:\\.|[^"\\\n])*"'                 # strings
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])*'"  # characters, but not the separators in numbers
    r"|//[^\n]*|/\*.*?\*/"                  # comments
    r"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",      # preprocessor lines
    re.DOTALL | re.MULTILINE)


def layer_of(path):
    """'src/store/x.cc' belongs to 'store', 'include/engram/x.h' to 'public', everything else to no layer (None)."""
    parts = path.parts
    if parts[0] == "include":
        return "public"
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_includes(path, text):
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in LAYERS:
        yield f"{path}: the layer '{layer}' is unknown; say in LAYERS (src/tidy/tidy.py) what it may include"
        return
    for match in INCLUDE.finditer(text):
        line, quoted, name = text.count("\n", 0, match.start()) + 1, match[1] == '"', match[2]
        target = name.split("/")[0]
        if quoted and "/" in name and target != "engram" and target != layer and target not in LAYERS[layer]:
            yield f"{path}:{line}: {layer} may not include {name}"
        for pattern, layers in CONFINED:
            if pattern.match(name) and layer not in layers:
                yield f"{path}:{line}: only {', '.join(sorted(layers))} may include {name}"


def without_noise(text):
    """The text with comments, literals and preprocessor lines blanked out; lines stay where they are."""
    return NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def functions(text):
    """Yields (name, first line, number of lines) of each function body. Lambdas count as part of the function around them."""
    text = without_noise(text)
    scopes, start = [], 0  # of each open brace: None, or the function that it opens; start: where the current statement begins
    for match in re.finditer(r"[{};]", text):
        head, position = text[start:match.start()], match.start()
        if match[0] == "{":
            inside = any(scope for scope in scopes)
            signature = re.search(r"([~\w]+|operator\W{1,3})\s*\(", head)
            container = re.match(r"\s*(template\s*<.*>\s*)?(namespace|class|struct|union|enum|extern)\b[^()]*$", head, re.DOTALL)
            assigned = re.search(r"(?<![=!<>])=(?!=)", head.split("(")[0])
            opens = not inside and signature and not container and not assigned
            first = text.count("\n", 0, position - len(head.lstrip())) + 1
            scopes.append((signature[1].strip(), first) if opens else None)
        elif match[0] == "}" and scopes:
            scope = scopes.pop()
            if scope:
                yield scope[0], scope[1], text.count("\n", 0, position) + 2 - scope[1]
        start = match.end()


def check_sizes(path, text, ratchet, used):
    lines = text.count("\n")
    yield from check_limit(f"{path}", f"{path}: {lines} lines", lines, MAX_FILE_LINES, ratchet, used)
    for name, first, length in functions(text):
        message = f"{path}:{first}: {name} has {length} lines"
        yield from check_limit(f"{path}:{name}", message, length, MAX_FUNCTION_LINES, ratchet, used)


def check_limit(key, message, size, limit, ratchet, used):
    allowed = ratchet.get(key, 0)
    if size > max(limit, allowed):
        yield f"{message}; at most {max(limit, allowed)} are allowed"
    if size > limit:
        used.add(key)
        if size < allowed:
            yield f"{message}; lower its entry in src/tidy/ratchet.txt from {allowed} to {size}"


def check_listed(root, path):
    """A source must be named in the CMakeLists.txt that is nearest above it."""
    folder = (root / path).parent
    while not (folder / "CMakeLists.txt").is_file() and folder != root:
        folder = folder.parent
    name = (root / path).relative_to(folder).as_posix()
    listed = re.findall(r"[\w./-]+", re.sub(r"#.*", "", (folder / "CMakeLists.txt").read_text()))
    if name not in listed:
        yield f"{path}: not listed in {(folder / 'CMakeLists.txt').relative_to(root)}"


def check_words(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        for host in re.findall(r"https?://([\w.-]+\w)", line):
            if host not in HOSTS:
                yield f"{path}:{number}: the host name {host} is not in HOSTS (src/tidy/tidy.py)"
        if re.search(r"(?<![\w$}.-])/(work|root)/\w", line):
            yield f"{path}:{number}: a path of somebody's machine"
        if re.search(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b", line):
            yield f"{path}:{number}: a note to self; do it or open an issue"


def check_file_ids(path, text, ids):
    """Database files are told apart by their application_id: two kinds with one would be taken for each other."""
    for number in re.findall(r"\bapplication_id = (0x\w+)", text):
        if number in ids:
            yield f"{path}: the application_id {number} is that of {ids[number]}"
        ids.setdefault(number, path)


def text_files(root):
    for folder in TEXT_FOLDERS:
        yield from (path for path in sorted((root / folder).rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    yield from (path for path in sorted(root.iterdir()) if path.is_file() and path.name != ".git")  # a file in a linked work tree


def check_tree(root):
    ratchet_file = root / "src" / "tidy" / "ratchet.txt"
    lines = ratchet_file.read_text().splitlines() if ratchet_file.is_file() else []
    ratchet = {key: int(size) for key, size in (line.rsplit(None, 1) for line in lines if line and not line.startswith("#"))}
    used, ids = set(), {}
    for absolute in text_files(root):
        path = absolute.relative_to(root)
        try:
            text = absolute.read_text()
        except UnicodeDecodeError:
            continue  # a picture, a model
        if path.parts[:2] != CORPORA:
            yield from check_words(path, text)
        if path.suffix in CPP:
            yield from check_includes(path, text)
            yield from check_sizes(path, text, ratchet, used)
            yield from check_file_ids(path, text, ids)
        if path.suffix == ".cc" and path.parts[0] != "examples":
            yield from check_listed(root, path)
    for key in sorted(set(ratchet) - used):
        yield f"src/tidy/ratchet.txt: {key} needs no exception any more; remove it"


def main():
    findings = list(check_tree(pathlib.Path(sys.argv[1]).resolve()))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
