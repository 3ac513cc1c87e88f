#!/usr/bin/env python3
"""The built program as a user runs it: program_test.py ENGRAM. Checks what scripts rely on, on tiny synthetic models."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ENGRAM = sys.argv.pop(1)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.home = pathlib.Path(self.folder.name) / "home"
        self.model = pathlib.Path(self.folder.name) / "model.gguf"

    def tearDown(self):
        self.folder.cleanup()

    def run_engram(self, *arguments, expect=0):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
        environment.update(ENGRAM_HOME=str(self.home), ENGRAM_THREADS="1")
        done = subprocess.run([ENGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def facts(self, *arguments, expect=0):
        return json.loads(self.run_engram(*arguments, "--json", expect=expect).stdout)

    def synth(self, geometry="tiny-llama"):
        self.run_engram("model", "synth", "--geometry", geometry, self.model)

    def check_demo(self, geometry, context):
        result = self.facts("demo", "--geometry", geometry, "--context", context)
        self.assertEqual([agent["id"] for agent in result["agents"]], ["tech_specialist", "biz_analyst", "coordinator"])
        self.assertEqual(result["session_1_ended_by"], "SIGKILL")
        for agent in result["agents"]:
            self.assertTrue(agent["identical"])
            self.assertEqual(len(agent["answers"]), 2)
            self.assertEqual((agent["answer"], agent["control_answer"]), (agent["answers"][0]["answer"],) * 2)
            for answer in agent["answers"]:
                self.assertTrue(answer["identical"])
                self.assertEqual(answer["answer"], answer["control_answer"])
                self.assertNotEqual(answer["question"], "")
            self.assertEqual(agent["tier"], "disk")
            self.assertGreaterEqual(agent["tokens_resumed"], context)
            self.assertGreater(agent["bytes_on_disk"], 0)
            for name in ("restore_ms", "ttft_ms", "cold_ttft_ms"):
                self.assertGreater(agent[name], 0)

    def test_demo_of_each_memory_class(self):
        for geometry in ("tiny-llama", "tiny-gemma3", "tiny-lfm2", "tiny-mamba"):
            with self.subTest(geometry):
                self.check_demo(geometry, 600)

    def test_demo_runs_on_a_given_model(self):
        self.synth("tiny-qwen3")
        result = self.facts("demo", "--model", self.model, "--context", 67)
        self.assertFalse(result["synthetic"])
        self.assertTrue(all(agent["identical"] for agent in result["agents"]))

    def test_an_agent_remembers_from_one_process_to_the_next(self):
        self.synth()
        self.run_engram("agent", "create", "notes", "--system", "You take notes.", "--model", self.model)
        first = self.facts("run", "notes", "Remember the number 4711, please.", "--model", self.model, "--max-tokens", 20)
        second = self.facts("run", "notes", "What was it?", "--model", self.model, "--max-tokens", 20)
        self.assertEqual(first["reused_tokens"], 0)
        self.assertEqual(second["reused_tokens"], first["prompt_tokens"] + 19)
        self.assertEqual(second["tier"], "disk")
        shown = self.facts("agent", "show", "notes", "--model", self.model)
        self.assertEqual(shown["turns"], 2)

    def found(self, *arguments):
        return [agent["id"] for agent in self.facts("agent", "find", *arguments)]

    def test_agents_are_found_by_the_model_that_talked_to_them(self):
        self.synth()
        self.run_engram("run", "talked", "Hello.", "--create", "--model", self.model, "--max-tokens", 2)
        self.run_engram("agent", "create", "silent")
        model = self.facts("agent", "show", "talked")["model"]
        self.assertEqual(self.found(), ["silent", "talked"])
        self.assertEqual(self.found("--of-model", model), ["talked"])
        self.assertEqual(self.found("--of-model", "another"), [])

    def test_roles_become_agents(self):
        roles = pathlib.Path(self.folder.name) / "roles"
        roles.mkdir()
        pilot = 'system_prompt = "You bring ships in."\nlabels = ["harbour"]\ndescription = "{}"\n'
        (roles / "pilot.toml").write_text(pilot.format("Knows the harbour"))
        (roles / "crane.toml").write_text('description = "Lifts boxes"\n')
        self.run_engram("agent", "create", "by-hand")

        def apply(*flags):
            return {agent["agent"]: agent["done"] for agent in self.facts("agent", "apply", roles, *flags)["agents"]}

        def described():
            return self.facts("agent", "show", "pilot")["description"]

        self.assertEqual(apply("--dry-run"), {"crane": "created", "pilot": "created"})
        self.assertEqual(self.found(), ["by-hand"])
        self.assertEqual(apply(), {"crane": "created", "pilot": "created"})
        self.assertEqual(apply(), {"crane": "unchanged", "pilot": "unchanged"})
        self.assertEqual(self.found("--label", "harbour"), ["pilot"])

        (roles / "pilot.toml").write_text(pilot.format("Knows all harbours"))
        (roles / "crane.toml").unlink()
        self.assertEqual(apply("--prune", "--dry-run"), {"crane": "removed", "pilot": "changed"})
        self.assertEqual(described(), "Knows the harbour")
        self.assertEqual(apply(), {"pilot": "changed"})
        self.assertEqual(described(), "Knows all harbours")
        self.assertEqual(self.found(), ["by-hand", "crane", "pilot"])
        self.assertEqual(apply("--prune"), {"crane": "removed", "pilot": "unchanged"})
        self.assertEqual(self.found(), ["by-hand", "pilot"])
        self.assertEqual(apply("--prune"), {"pilot": "unchanged"})

    def test_an_agent_moves_as_a_file(self):
        self.synth()
        self.run_engram("run", "mover", "Hello there.", "--create", "--model", self.model, "--max-tokens", 30)
        file = pathlib.Path(self.folder.name) / "mover.engram"
        self.run_engram("agent", "export", "mover", file, "--model", self.model)
        self.run_engram("agent", "delete", "mover", "--model", self.model)
        self.run_engram("agent", "import", file, "--model", self.model)
        again = self.facts("run", "mover", "Still there?", "--model", self.model, "--max-tokens", 5)
        self.assertGreater(again["reused_tokens"], 20)

    def test_the_store_is_sound_after_use(self):
        self.synth()
        self.run_engram("run", "a", "Hello.", "--create", "--model", self.model, "--max-tokens", 40)
        report = self.facts("store", "verify")
        self.assertEqual(report["corrupt"], 0)
        self.assertGreater(report["parts"], 0)

    def test_two_processes_on_one_store_are_refused(self):
        self.synth()
        self.run_engram("agent", "create", "a", "--model", self.model)
        environment = dict(os.environ, ENGRAM_HOME=str(self.home), ENGRAM_MODEL=str(self.model), ENGRAM_THREADS="1")
        with subprocess.Popen([ENGRAM, "chat", "a"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as holder:
            try:
                holder.stdin.write("hello\n")
                holder.stdin.flush()
                holder.stdout.read(1)  # it answers: the store is open
                done = self.run_engram("run", "a", "Hello.", "--model", self.model, expect=5)
                self.assertIn(str(holder.pid), done.stderr)
            finally:
                holder.stdin.close()
                holder.wait(timeout=60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
