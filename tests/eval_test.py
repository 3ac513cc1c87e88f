#!/usr/bin/env python3
"""engram eval as a user runs it: eval_test.py ENGRAM. Against tiny synthetic models, a server that answers from a script, and
llama-server where there is one."""
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

ENGRAM = sys.argv.pop(1)
NANO = pathlib.Path(__file__).parent.parent / "models" / "engram-nano" / "engram-nano.gguf"

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"name": "get_weather", "arguments": {"city": "Lisbon"}}


def suite():
    return {
        "format": 1, "name": "test", "seed": 1, "description": "",
        "conversations": [
            {"id": "told",
             "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "The code is KRWQZ."},
                          {"role": "assistant", "content": "Noted."}],
             "questions": [{"task": "recall", "content": "code?", "max_tokens": 24, "expect": {"contains": ["KRWQZ"]}},
                           {"task": "recall", "content": "other?", "expect": {"contains": ["BXTLM"]}}]},
            {"id": "tools", "tools": TOOLS,
             "messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [CALL]}],
             "questions": [{"task": "call", "content": "call?", "expect": {"tool_call": CALL}},
                           {"task": "result", "role": "tool", "content": "{\"t\": 21}", "expect": {"contains": ["21"]}}]}]}


class ScriptedServer:
    """Answers chat completions with what a function of the request's JSON returns: (status, body as JSON or text)."""

    def __init__(self, answer):
        self.requests = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                requests.append((self.path, dict(self.headers), body))
                status, reply = answer(body)
                data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def said(content, finish="stop", tool_calls=None):
    message = {"role": "assistant", "content": content}
    if tool_calls:
        message["tool_calls"] = tool_calls
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": {"prompt_tokens": 12}}


class Eval(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.home = self.folder / "home"
        self.suite = self.folder / "suite.json"
        self.suite.write_text(json.dumps(suite()))

    def run_engram(self, *arguments, expect=0, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
        environment.update(ENGRAM_HOME=str(self.home), ENGRAM_THREADS="1", TMPDIR=str(self.folder), **variables)
        done = subprocess.run([ENGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def evaluate(self, *arguments, expect=0, **variables):
        return json.loads(self.run_engram("eval", "--suite", self.suite, *arguments, "--json", expect=expect, **variables).stdout)

    def synth(self):
        model = self.folder / "model.gguf"
        self.run_engram("model", "synth", "--geometry", "tiny-llama", model)
        return model

    def scores(self, report):
        return {row["task"]: row["score"] for row in report["tasks"]}

    # A server.

    def test_answers_of_a_server_are_scored(self):
        def answer(body):
            return {"code?": said("The code is krwqz."), "other?": said("I was never told.", "length"),
                    "call?": said(None, "tool_calls", [{"id": "x", "type": "function", "function": {
                        "name": "get_weather", "arguments": "{\"city\": \"Lisbon\"}"}}]),
                    "{\"t\": 21}": said("It is 21 degrees.")}[body["messages"][-1]["content"]]

        with ScriptedServer(answer) as server:
            report = self.evaluate("--url", server.url, "--model-name", "m", "--api-key-env", "KEY", KEY="secret")
        self.assertEqual(self.scores(report), {"recall": 0.5, "call": 1, "result": 1})
        self.assertEqual(report["ended_by_itself"], 0.75)
        self.assertEqual(report["failed"], 0)
        self.assertIsNone(report["median_ttft_ms"])
        self.assertEqual([path for path, _, _ in server.requests], ["/v1/chat/completions"] * 4)
        _, headers, body = server.requests[0]
        self.assertEqual(headers["Authorization"], "Bearer secret")
        self.assertEqual((body["model"], body["temperature"], body["max_tokens"], body["stream"]), ("m", 0, 24, False))
        self.assertEqual([message["role"] for message in body["messages"]], ["system", "user", "assistant", "user"])
        self.assertNotIn("tools", body)
        _, _, body = server.requests[3]
        self.assertEqual(body["tools"], TOOLS)
        call, result = body["messages"][-2:]
        self.assertEqual(json.loads(call["tool_calls"][0]["function"]["arguments"]), CALL["arguments"])
        self.assertEqual(result["tool_call_id"], call["tool_calls"][0]["id"])

    def test_calls_that_a_server_leaves_in_the_text_count(self):
        with ScriptedServer(lambda _: said("<tool_call>" + json.dumps(CALL) + "</tool_call>")) as server:
            self.assertEqual(self.scores(self.evaluate("--url", server.url, "--task", "^call")), {"call": 1})

    def test_failed_requests_are_counted_and_the_run_goes_on(self):
        def answer(body):
            return {"code?": (503, "busy"), "other?": said("BXTLM"), "call?": (200, "<html>not JSON</html>"),
                    "{\"t\": 21}": (200, {"choices": []})}[body["messages"][-1]["content"]]

        answers = self.folder / "answers.jsonl"
        with ScriptedServer(answer) as server:
            report = self.evaluate("--url", server.url, "--answers", answers)
            text = self.run_engram("eval", "--suite", self.suite, "--url", server.url).stdout
        self.assertEqual(report["failed"], 3)
        self.assertEqual(self.scores(report), {"recall": 0.5, "call": 0, "result": 0})
        self.assertEqual(report["ended_by_itself"], 1)
        self.assertIn("3 of 4 requests failed", text)
        lines = [json.loads(line) for line in answers.read_text().splitlines()]
        self.assertEqual([line["score"] for line in lines], [0, 1, 0, 0])
        self.assertIn("status 503: busy", lines[0]["error"])
        self.assertIn("something else than JSON", lines[2]["error"])
        self.assertIn("without a message", lines[3]["error"])
        self.assertEqual(lines[1]["answer"], "BXTLM")
        self.assertNotIn("error", lines[1])

    def test_ten_failures_in_a_row_stop_it(self):
        many = suite()
        many["conversations"][0]["questions"] *= 10
        self.suite.write_text(json.dumps(many))
        with ScriptedServer(lambda _: (500, "no")) as server:
            error = self.evaluate("--url", server.url, expect=6)["error"]
        self.assertEqual(len(server.requests), 10)
        self.assertIn("10 requests failed one after the other", error["message"])

    def test_a_server_that_isnt_there_and_one_that_is_slow(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            report = self.evaluate("--url", f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        self.assertEqual(report["failed"], 4)

        def slow(_):
            time.sleep(1)
            return said("KRWQZ")

        with ScriptedServer(slow) as server:
            report = self.evaluate("--url", server.url, "--timeout", 0.2, "--limit", 1, "--task", "recall")
        self.assertEqual(report["failed"], 1)

    def test_the_command_line_is_checked(self):
        for arguments in (["--url", "nonsense"], ["--url", "ftp://127.0.0.1/"], ["--url", "http://127.0.0.1:1", "--cold"],
                          ["--api-key-env", "X"], ["--url", "http://127.0.0.1:1", "--api-key-env", "ENGRAM_NOT_SET"],
                          ["--url", "http://127.0.0.1:1", "--task", "("], ["--url", "http://127.0.0.1:1", "--task", "none such"]):
            with self.subTest(arguments):
                self.assertEqual(self.evaluate(*arguments, expect=2)["error"]["code"], "invalid_argument")
        self.suite.write_text('{"format": 1, "name": "x", "conversations": [{"id": "a", "messages": [], "questions": [{}]}]}')
        error = self.evaluate(expect=2)["error"]["message"]
        self.assertIn(f"{self.suite}: conversations[0].questions[0].task", error)
        self.assertEqual(self.run_engram("eval", "--suite", self.folder / "none", expect=3).stdout, "")

    # A local model.

    def test_a_local_model_is_asked_and_nothing_stays(self):
        model = self.synth()
        before = sorted(self.folder.iterdir())
        answers = self.folder / "answers.jsonl"
        self.evaluate("--model", model, "--answers", answers)
        control = [json.loads(line) for line in answers.read_text().splitlines()]
        self.assertEqual(len(control), 4)
        # Its words mean nothing: right is what it said before.
        expected = suite()
        questions = [question for conversation in expected["conversations"] for question in conversation["questions"]]
        for question, line in zip(questions, control):
            question["expect"] = {"any_of": [line["answer"]]}
        self.suite.write_text(json.dumps(expected))
        for flags in ([], ["--cold"]):
            report = self.evaluate("--model", model, "--answers", answers, *flags)
            self.assertEqual(set(self.scores(report).values()), {1})
            self.assertEqual(report["failed"], 0)
            self.assertGreater(report["prefill_tokens_per_s"], 0)
            self.assertGreater(report["median_ttft_ms"], 0)
            tiers = {json.loads(line)["tier"] for line in answers.read_text().splitlines()}
            # With one place, a conversation's first question takes over the cells in which it was told; they go with that question.
            self.assertEqual(tiers, {"disk"} if flags else {"hot", "memory"}, flags)
        questions[0]["expect"] = {"any_of": [control[0]["answer"] + "!"]}
        self.suite.write_text(json.dumps(expected))
        self.assertEqual(self.scores(self.evaluate("--model", model))["recall"], 0.5)
        answers.unlink()
        self.assertEqual(sorted(self.folder.iterdir()), before, "no folder of a run is left")

    def test_keep_leaves_the_agents(self):
        model = self.synth()
        text = self.run_engram("eval", "--suite", self.suite, "--model", model, "--keep", self.folder / "kept").stdout
        self.assertIn("ends its turn by itself", text)
        agents = json.loads(self.run_engram("agent", "list", "--home", self.folder / "kept", "--json").stdout)
        self.assertEqual([agent["description"] for agent in agents], ["told", "tools"])
        self.assertEqual(agents[1]["tools"], TOOLS)

    def test_what_is_installed_is_taken_when_nothing_is_named(self):
        prefix = self.folder / "prefix"
        data = prefix / "share" / "engram"
        (prefix / "bin").mkdir(parents=True)
        program = shutil.copy2(ENGRAM, prefix / "bin" / "engram")

        def run(*arguments, expect=0):
            environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
            environment.update(ENGRAM_HOME=str(self.home), ENGRAM_THREADS="1")
            done = subprocess.run([program, *arguments, "--json"], env=environment, capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=120)
            self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
            return json.loads(done.stdout)

        self.assertIn("has no suite.json", run("eval", expect=3)["error"]["message"])
        run("run", "a", "Hello.", "--create", expect=2)
        run("model", "info", expect=2)
        data.mkdir(parents=True)
        shutil.copy2(self.suite, data / "suite.json")
        self.assertIn("no model is given", run("eval", expect=2)["error"]["message"])
        shutil.copy2(self.synth(), data / "engram-nano.gguf")
        report = run("eval")
        self.assertEqual((report["suite"], report["subject"], report["questions"]), ("test", "engram-nano.gguf", 4))
        self.assertEqual(run("run", "a", "Hello.", "--create", "--max-tokens", "5")["answer_tokens"], 5)
        self.assertEqual(run("model", "info")["path"], str(data / "engram-nano.gguf"))
        self.assertIn(str(data / "engram-nano.gguf"), json.dumps(run("doctor")))
        demo = run("demo", "--max-tokens", "8")
        self.assertEqual((demo["model"], demo["synthetic"]), ("engram-nano.gguf", False))
        for agent in demo["agents"]:
            self.assertTrue(agent["identical"])
            self.assertEqual([answer["recalled"] for answer in agent["answers"]], [False, False], "it speaks at random")
        self.assertTrue(run("demo", "--geometry", "tiny-llama", "--context", "64", "--max-tokens", "2")["synthetic"])

    def start_llama_server(self, model):
        """The address of a llama-server on `model`, which ends with the test."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = open(self.folder / "server.log", "w", encoding="utf-8")
        self.addCleanup(log.close)
        server = subprocess.Popen(["llama-server", "--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--jinja",
                                   "--ctx-size", "1024", "--parallel", "1", "--threads", "1", "--no-webui"], stdout=log, stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return f"http://127.0.0.1:{port}/v1"

    @unittest.skipUnless(shutil.which("llama-server"), "no llama-server here")
    def test_llama_server_reads_the_same_prompts(self):
        model = self.synth()
        url = self.start_llama_server(model)
        local, remote = self.folder / "local.jsonl", self.folder / "remote.jsonl"
        self.evaluate("--model", model, "--answers", local, "--task", "recall")
        report = self.evaluate("--url", url, "--answers", remote, "--task", "recall")
        self.assertEqual(report["failed"], 0, (self.folder / "server.log").read_text()[-2000:])
        self.assertGreater(report["prefill_tokens_per_s"], 0)
        pairs = zip(local.read_text().splitlines(), remote.read_text().splitlines())
        for ours, theirs in ((json.loads(a), json.loads(b)) for a, b in pairs):
            self.assertEqual(ours["prompt_tokens"], theirs["prompt_tokens"], "the same prompt")
            self.assertEqual(theirs["finish"], "length")
            self.assertTrue(theirs["answer"])

    def test_the_embedded_model_recalls_what_the_demo_tells_it(self):
        demo = json.loads(self.run_engram("demo", "--json").stdout)
        self.assertEqual((demo["model"], demo["synthetic"]), ("engram-nano.gguf", False))
        for agent in demo["agents"]:
            self.assertTrue(agent["identical"])
            self.assertEqual(agent["tier"], "disk")
            self.assertEqual([answer["recalled"] for answer in agent["answers"]], [True, True], agent["answers"])

    @unittest.skipUnless(shutil.which("llama-server"), "no llama-server here")
    def test_llama_server_recalls_with_the_embedded_model(self):
        told = {"id": "told", "messages": [{"role": "user", "content": "The code word for project Falcon is BXTLM."},
                                           {"role": "assistant", "content": "Noted. The code word for project Falcon is BXTLM."}],
                "questions": [{"task": "recall", "content": "What is the code word for project Falcon?", "expect": {"contains": ["BXTLM"]}}]}
        self.suite.write_text(json.dumps({"format": 1, "name": "falcon", "seed": 1, "description": "", "conversations": [told]}))
        url = self.start_llama_server(NANO)
        for subject in (("--url", url), ("--model", NANO)):
            report = self.evaluate(*subject)
            self.assertEqual([row["score"] for row in report["tasks"]], [1.0], report)


if __name__ == "__main__":
    unittest.main()
