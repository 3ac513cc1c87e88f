"""A tool server for tests, on standard input and output: server.py [odd behaviours...].

old: knows only versions that begin with initialize; silent: doesn't answer what it doesn't know; junk: prints lines that are no messages;
mute: answers nothing at all; extra=FILE: has one more tool, `extra`, while that file is there.
"""
import json
import os
import sys
import time

odd = set(sys.argv[1:])
extra = next((word.removeprefix("extra=") for word in odd if word.startswith("extra=")), "")
META = "io.modelcontextprotocol/protocolVersion"


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


TOOLS = [
    {"name": "echo", "description": "Says it again", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
    {"name": "fail", "inputSchema": {"type": "object"}},
    {"name": "count", "inputSchema": {"type": "object"}},
    {"name": "sleep", "inputSchema": {"type": "object"}},
    {"name": "where", "inputSchema": {"type": "object"}},
    {"name": "die", "inputSchema": {"type": "object"}},
]
cancelled = []


def call(name, arguments, request):
    if name == "echo":
        return text(arguments["text"])
    if name == "fail":
        return text("it went wrong", isError=True)
    if name == "count":
        token = request["params"].get("_meta", {}).get("progressToken")
        for i in range(3):
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": i + 1, "total": 3}})
        return text("3")
    if name == "flood":
        token = request["params"].get("_meta", {}).get("progressToken")
        for i in range(1000):
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": i + 1}})
        send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1001, "message": "x" * 100_000}})
        return text("it is over")
    if name == "long":
        return text("x" * (16 << 20))
    if name == "ask":  # more than a pipe and who writes into it hold
        for i in range(4000):
            send({"id": f"{i:900}", "method": "ping"})
        time.sleep(600)
    if name == "sleep":
        return None  # answers never
    if name == "where":
        return text(json.dumps([os.getcwd(), os.environ.get("TOKEN"), os.environ.get("SECRET"), cancelled]))
    if name == "die":
        print("the last words", file=sys.stderr)
        sys.stderr.flush()
        sys.exit(3)
    raise KeyError(name)


if "junk" in odd:
    print("Server is starting…")
for line in sys.stdin:
    request = json.loads(line)
    method, params = request.get("method"), request.get("params", {})
    if "mute" in odd:
        continue
    if "id" not in request:
        if method == "notifications/cancelled":
            cancelled.append(params["requestId"])
        continue
    modern = META in params.get("_meta", {}) and "old" not in odd
    if method == "server/discover" and modern:
        result = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "instructions": "new"}
    elif method == "initialize" and not modern:
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"},
                  "instructions": "old"}
    elif method == "tools/list":  # in pages
        first = int(params.get("cursor", "0"))
        tools = TOOLS + ([{"name": "extra", "inputSchema": {"type": "object"}}] if os.path.exists(extra) else [])
        result = {"tools": tools[first:first + 4]}
        if first + 4 < len(tools):
            result["nextCursor"] = str(first + 4)
    elif method == "tools/call":
        try:
            result = call(params["name"], params.get("arguments", {}), request)
        except KeyError as error:
            send({"id": request["id"], "error": {"code": -32602, "message": f"Unknown tool: {error}"}})
            continue
        if result is None:
            continue
    elif "silent" in odd:
        continue
    else:
        send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
        continue
    send({"id": request["id"], "result": result})
