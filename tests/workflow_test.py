#!/usr/bin/env python3
"""Workflows as a user runs them: workflow_test.py ENGRAM EXAMPLES. The examples, kills at random nodes, and the server."""
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

ENGRAM, EXAMPLES = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
SEED = int(os.environ.get("ENGRAM_TEST_SEED", "1"))
KILLS = 20
TOPIC = "a ferry that runs on batteries"


class Home:
    """A home folder, and the program in it, with a tiny model unless the program's own is asked for."""

    def __init__(self, model=None):
        self.folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.path = pathlib.Path(self.folder.name)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
        self.environment.update(ENGRAM_HOME=str(self.path / "home"), ENGRAM_THREADS="1", ENGRAM_CONTEXT="4096")
        if model:
            self.environment["ENGRAM_MODEL"] = str(model)

    def start(self, *arguments):
        return subprocess.Popen([ENGRAM, *map(str, arguments)], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments, expect=0):
        process = self.start(*arguments)
        out, err = process.communicate()
        if process.returncode != expect:
            raise AssertionError(f"{arguments}: status {process.returncode}, not {expect}\n{out}{err}")
        return out, err

    def facts(self, *arguments, expect=0):
        return json.loads(self.run(*arguments, "--json", expect=expect)[0])

    def state(self):
        """What a run leaves behind: its results, and the memories of all agents."""
        run = self.facts("workflow", "list")[0]["id"]
        shown = self.facts("workflow", "show", run)
        agents = self.run("agent", "list", "--ids")[0].split()
        return {
            "state": shown["state"],
            "outputs": shown["outputs"],
            "steps": {f"{step['node']}[{step.get('item', '')}]": (step["state"], step["text"]) for step in shown["steps"]},
            "agents": {agent: [(said["role"], said["content"]) for said in
                               self.facts("agent", "transcript", agent)] for agent in agents},
        }


def synth(folder):
    model = folder / "model.gguf"
    subprocess.run([ENGRAM, "model", "synth", "--geometry", "tiny-llama", str(model)], check=True, capture_output=True)
    return model


def shortened(name, folder):
    """An example whose answers are short, so that many of them take little time."""
    text = re.sub(r"max_tokens: \d+", "max_tokens: 24", (EXAMPLES / name).read_text())
    file = folder / name
    file.write_text(text)
    return file


class Workflows(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def home(self, model=None):
        home = Home(model)
        self.addCleanup(home.folder.cleanup)
        return home

    def test_every_example_is_sound(self):
        files = sorted(EXAMPLES.glob("*.yaml"))
        self.assertGreaterEqual(len(files), 3)
        for file in files:
            out, _ = self.home().run("workflow", "validate", file)
            self.assertIn("is sound", out)

    def test_complaints_name_their_lines(self):
        file = self.folder / "bad.yaml"
        file.write_text("name: bad\nnodes:\n  a:\n    agent: x\n    prompt: ${{ nodes.b.text }}\n    promt: y\n")
        for command in ("validate", "run"):
            _, err = self.home().run("workflow", command, file, expect=2)
            self.assertIn(f"{file}:5: node a, prompt: nodes.b.text: there is no such node", err)
            self.assertIn(f"{file}:6: node a: there is no member \"promt\"", err)

    def test_examples_run(self):
        model = synth(self.folder)
        home = self.home(model)
        out, err = home.run("workflow", "run", shortened("chapters.yaml", self.folder), "--input", 'parts=["one", "two", "three"]')
        self.assertIn("parts:\n", out)
        self.assertIn("each[2]  finished", err)
        answer = home.facts("workflow", "run", shortened("triage.yaml", self.folder), "--input", "question=Where is my parcel?")
        self.assertEqual(answer["state"], "finished")
        self.assertIn(answer["outputs"]["who"], ("billing", "delivery"))
        steps = {step["node"]: step for step in answer["steps"]}
        urgent = json.loads(steps["kind"]["text"])["urgent"]
        self.assertEqual(steps["notice"]["state"], "finished" if urgent else "skipped")
        _, err = home.run("workflow", "run", EXAMPLES / "triage.yaml", expect=2)
        self.assertIn('needs the input "question"', err)
        self.assertEqual([run["state"] for run in home.facts("workflow", "list")], ["finished", "finished"])
        run = home.facts("workflow", "list")[0]["id"]
        self.assertIn("delivery", home.run("workflow", "show", run, "--definition")[0])
        _, err = home.run("workflow", "cancel", run, expect=2)
        self.assertIn("has finished already", err)
        home.run("workflow", "show", "absent", expect=3)

    def test_killed_at_random_nodes_it_ends_as_if_nothing_had_happened(self):
        chance = random.Random(SEED)
        definition = shortened("analysis.yaml", self.folder)
        arguments = ("workflow", "run", definition, "--input", f"topic={TOPIC}", "--events")
        control = self.home()  # with the program's own model, where there is one
        probe = control.start("run", "probe", "x", "--create", "--max-tokens", 1)
        probe.communicate()
        model = None if probe.returncode == 0 else synth(self.folder)
        control = self.home(model)
        events = control.run(*arguments)[0].splitlines()
        expected = control.state()
        self.assertEqual(expected["state"], "finished")
        self.assertEqual({len(said) for said in expected["agents"].values()}, {3})  # system, user, assistant
        killed_in = set()
        for kill in range(KILLS):
            with self.subTest(kill=kill, seed=SEED):
                home = self.home(model)
                process = home.start(*arguments)
                last = None
                for _ in range(chance.randint(1, len(events) - 1)):
                    last = json.loads(process.stdout.readline())
                time.sleep(chance.random() * 0.02)
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed_in.add(last.get("node"))
                before = home.facts("workflow", "list")[0]
                if before["state"] == "running":
                    home.run("workflow", "resume", before["id"])
                self.assertEqual(home.state(), expected)
                home.folder.cleanup()
        self.assertGreater(len(killed_in), 2, killed_in)

    # --- over HTTP ---

    def serve(self, home, *arguments):
        process = home.start("serve", "--port", "0", "--json", *arguments)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        address = urllib.parse.urlparse(json.loads(process.stdout.readline())["address"])
        return process, address

    @staticmethod
    def ask(address, method, path, body=None):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def wait_for_end(self, address, run):
        for _ in range(600):
            status, text = self.ask(address, "GET", f"/v1/workflows/{run}")
            self.assertEqual(status, 200, text)
            if json.loads(text)["state"] not in ("running", "interrupted"):
                return json.loads(text)
            time.sleep(0.1)
        self.fail(text)

    def test_a_server_goes_on_with_what_was_killed(self):
        model = synth(self.folder)
        definition = shortened("analysis.yaml", self.folder).read_text().replace("max_tokens: 24", "max_tokens: 120")
        body = {"definition": definition, "inputs": {"topic": TOPIC}}
        control = self.home(model)
        process, address = self.serve(control)
        status, text = self.ask(address, "POST", "/v1/workflows", {**body, "stream": True})
        self.assertEqual(status, 200)
        names = re.findall(r"^event: (\w+)$", text, re.MULTILINE)
        self.assertEqual((names[0], names[-2], names[-1]), ("run", "run", "end"))
        self.assertEqual(names.count("started"), 3)
        self.assertIn("text", names)
        ended = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))
        self.assertEqual(ended["state"], "finished")
        status, replayed = self.ask(address, "GET", f"/v1/workflows/{ended['id']}/events")
        self.assertEqual(re.findall(r"^event: (\w+)$", replayed, re.MULTILINE), [name for name in names if name != "text"])
        process.terminate()
        process.communicate()
        expected = control.state()

        home = self.home(model)
        process, address = self.serve(home)
        status, text = self.ask(address, "POST", "/v1/workflows", body)
        self.assertEqual(status, 202, text)
        run = json.loads(text)["id"]
        while "synthesis" not in {step["node"] for step in json.loads(self.ask(address, "GET", f"/v1/workflows/{run}")[1])["steps"]}:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        process, address = self.serve(home)  # goes on by itself
        self.assertEqual(self.wait_for_end(address, run)["state"], "finished")
        process.terminate()
        process.communicate()
        self.assertEqual(home.state(), expected)

    def test_the_server_checks_cancels_and_resumes(self):
        home = self.home(synth(self.folder))
        _, address = self.serve(home)
        status, text = self.ask(address, "POST", "/v1/workflows", {"definition": "name: w\n", "file": "w.yaml"})
        self.assertEqual(status, 400)
        self.assertIn("w.yaml:1: the workflow: needs nodes", text)
        status, text = self.ask(address, "POST", "/v1/workflows/validate", {"definition": "name: w\nnodes: {a: {text: x, y: z}}"})
        self.assertEqual((status, json.loads(text)["valid"]), (200, False))
        self.assertEqual(json.loads(text)["complaints"], ["definition:2: node a: there is no member \"y\""])
        self.assertEqual(self.ask(address, "GET", "/v1/workflows/absent")[0], 404)
        long = ("name: w\ninputs: {parts: {type: list}}\nagents: {x: {}}\n"
                'nodes: {a: {agent: x, for_each: "${{ inputs.parts }}", prompt: go, max_tokens: 50}}\n')
        body = {"definition": long, "inputs": {"parts": list(range(500))}}
        run = json.loads(self.ask(address, "POST", "/v1/workflows", body)[1])["id"]
        self.assertEqual(self.ask(address, "POST", f"/v1/workflows/{run}/cancel")[0], 202)
        self.assertEqual(self.wait_for_end(address, run)["state"], "cancelled")
        self.assertEqual(self.ask(address, "POST", f"/v1/workflows/{run}/cancel")[0], 400)
        listed = json.loads(self.ask(address, "GET", "/v1/workflows")[1])["runs"]
        self.assertEqual([one["id"] for one in listed], [run])
        for _ in range(100):  # until its thread has gone
            status, text = self.ask(address, "POST", f"/v1/workflows/{run}/resume")
            if status == 202:
                break
            time.sleep(0.05)
        self.assertEqual(status, 202, text)
        self.ask(address, "POST", f"/v1/workflows/{run}/cancel")
        self.assertEqual(self.wait_for_end(address, run)["state"], "cancelled")


if __name__ == "__main__":
    unittest.main()
