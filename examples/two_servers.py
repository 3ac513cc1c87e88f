#!/usr/bin/env python3
"""Two servers whose agents give each other work, over A2A:

    two_servers.py [FOLDER]     FOLDER (by default a new one) holds both homes; run it again, and they still know what they were told

The chief, here, has a colleague there, the keeper; the scout, there, has a colleague here, the clerk. What a colleague is told it keeps
in a memory of its own for whoever told it. ENGRAM names the program, where it isn't in the PATH.
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

ENGRAM = os.environ.get("ENGRAM", "engram")
REMEMBERS = "You remember what you are told."
WORK = [  # at which server, who gives it, to whom, what
    ("here", "chief", "keeper", ["My code word is zarimo.", "What is my code word?"]),
    ("there", "scout", "clerk", ["The access code for server Kestrel is KRWQZ.", "What is the access code for server Kestrel?"]),
]


class Server:
    def __init__(self, home, port, agents_elsewhere):
        servers = home.with_suffix(".json")
        servers.write_text(json.dumps({"a2aAgents": agents_elsewhere}))
        command = [ENGRAM, "serve", "--home", str(home), "--port", str(port), "--json", "--mcp-config", str(servers)]
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


def free_ports(count):
    """Each server has to know the other's address before it runs."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def give(server, giver, colleague, tasks):
    if not server.make(id=giver, card={"colleagues": [colleague]}):
        tasks = tasks[1:]
    for task in tasks:
        done = server.post(f"/v1/agents/{giver}/delegate", to=colleague, task=task)
        (given,) = done["steps"]
        (work,) = given["steps"]
        print(f"{giver} to {colleague}: {task}\n{colleague}: {done['answer']}")
        print(f"({work['cached_tokens']} of {work['prompt_tokens']} tokens were in its memory)")


def main(folder):
    folder.mkdir(exist_ok=True)
    here_port, there_port = free_ports(2)
    keeper = {"keeper": {"url": f"http://127.0.0.1:{there_port}/a2a/agents/keeper"}}
    clerk = {"clerk": {"url": f"http://127.0.0.1:{here_port}/a2a/agents/clerk"}}
    with Server(folder / "here", here_port, keeper) as here, Server(folder / "there", there_port, clerk) as there:
        here.make(id="clerk", description="Remembers codes", system_prompt=REMEMBERS)
        there.make(id="keeper", description="Remembers words", system_prompt=REMEMBERS)
        for where, giver, colleague, tasks in WORK:
            give(here if where == "here" else there, giver, colleague, tasks)


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
