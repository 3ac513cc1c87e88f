#!/usr/bin/env python3
"""Two servers whose agents give each other work, over A2A:

    two_servers.py [FOLDER]     FOLDER (by default a new one) holds both homes; run it again, and the keeper still knows

The chief, at one server, has a colleague at the other one. What the keeper is told it keeps in a memory of its own for this chief.
ENGRAM names the program, where it isn't in the PATH.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

ENGRAM = os.environ.get("ENGRAM", "engram")


class Server:
    def __init__(self, home, *flags):
        command = [ENGRAM, "serve", "--home", str(home), "--port", "0", "--json", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["address"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def post(self, path, **body):
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def make(self, **agent):
        """False: it is there already."""
        try:
            self.post("/v1/agents", **agent)
            return True
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return False


def main(folder):
    folder.mkdir(exist_ok=True)
    with Server(folder / "there") as there:
        there.make(id="keeper", description="Remembers codes", system_prompt="You remember what you are told.")
        servers = folder / "mcp.json"
        servers.write_text(json.dumps({"a2aAgents": {"keeper": {"url": f"{there.address}/a2a/agents/keeper"}}}))
        with Server(folder / "here", "--mcp-config", str(servers)) as here:
            tasks = ["My code word is zarimo.", "What is my code word?"]
            if not here.make(id="chief", card={"colleagues": ["keeper"]}):
                tasks = tasks[1:]
            for task in tasks:
                done = here.post("/v1/agents/chief/delegate", to="keeper", task=task)
                (given,) = done["steps"]
                (work,) = given["steps"]
                print(f"chief to keeper: {task}\nkeeper: {done['answer']}")
                print(f"({work['cached_tokens']} of {work['prompt_tokens']} tokens were in its memory)")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
