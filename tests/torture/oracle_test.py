#!/usr/bin/env python3
"""The torture's own judgement, without a server: oracle_test.py. Each thing that it is to notice is shown to it once."""
import argparse
import json
import pathlib
import random
import tempfile
import types
import unittest
import unittest.mock

import checks
import clients
import control
import record
import torture
import wire
import words
from oracle import (MAYBE, NO, YES, Agent, Conversation, Pending, Secrets, Seen, Turn, Work, check_conversation, check_response,
                    settle)


def agent(**facts):
    turns = [Turn("What is it?", "It is blue.", "turn", 12, 30), Turn("And now?", "Red.", "turn", 12, 40)]
    return Agent("a", "red", "You are Ada.", turns=turns, **facts)


def seen(*more, turns=2, tokens=40):
    messages = [("user", "What is it?"), ("assistant", "It is blue."), ("user", "And now?"), ("assistant", "Red."), *more]
    return Seen(messages, turns, tokens)


class Settling(unittest.TestCase):
    def test_what_was_acknowledged_must_be_there(self):
        self.assertEqual(settle(agent(), seen()), [])
        self.assertIn("lost", settle(agent(), None)[0])
        short = seen()
        del short.messages[2:]
        self.assertIn("lost", settle(agent(), short)[0])
        half = seen()
        del half.messages[3:]
        self.assertIn("lost", settle(agent(), half)[0])

    def test_word_for_word(self):
        other = seen()
        other.messages[1] = ("assistant", "It is green.")
        self.assertIn("wrong", settle(agent(), other)[0])
        swapped = seen()
        swapped.messages[2:4] = reversed(swapped.messages[2:4])
        self.assertIn("wrong", settle(agent(), swapped)[0])

    def test_and_nothing_else(self):
        self.assertIn("wrong", settle(agent(), seen(("user", "Who are you?"), ("assistant", "Ben."), turns=3))[0])
        self.assertIn("wrong", settle(agent(), seen(turns=3))[0])
        self.assertIn("wrong", settle(agent(), seen(tokens=41))[0])

    def test_a_turn_whose_end_nobody_heard_is_there_whole_or_not_at_all(self):
        def pending():
            return agent(pending=Pending("Who are you?", "turn", 12, "I am"))
        self.assertEqual(settle(pending(), seen()), [])
        whole = pending()
        self.assertEqual(settle(whole, seen(("user", "Who are you?"), ("assistant", "I am Ada."), turns=3, tokens=55)), [])
        self.assertEqual((whole.turns[-1].answer, whole.turns[-1].tokens_after, whole.turns[-1].cut), ("I am Ada.", 55, True))
        self.assertTrue(whole.settled)
        for rest in ([("user", "Who are you?")], [("user", "Who are you?"), ("assistant", "Ben.")],
                     [("user", "Who is he?"), ("assistant", "I am Ada.")],
                     [("user", "Who are you?"), ("assistant", "I am Ada."), ("user", "Who are you?"), ("assistant", "I am Ada.")]):
            self.assertIn("wrong", settle(pending(), seen(*rest, turns=3))[0], rest)

    def test_what_was_deleted_does_not_come_back(self):
        self.assertEqual(settle(agent(there=NO), None), [])
        self.assertIn("came back", settle(agent(there=NO), seen())[0])
        for shown, there in ((None, NO), (seen(), YES)):
            open_one = agent(there=MAYBE)
            self.assertEqual(settle(open_one, shown), [])
            self.assertEqual(open_one.there, there)

    def test_conversations(self):
        talk = Conversation("openai", "red", frozenset(), [("user", "Hello"), ("assistant", "Hi.")], home="c-1")
        self.assertEqual(check_conversation(talk, [("user", "Hello"), ("assistant", "Hi. "), ("user", "More")]), [])
        self.assertIn("lost", check_conversation(talk, None)[0])
        self.assertIn("lost", check_conversation(talk, [("user", "Hello")])[0])
        self.assertIn("wrong", check_conversation(talk, [("user", "Hello"), ("assistant", "Ho.")])[0])

    def test_stored_responses(self):
        talk = Conversation("responses", "red", frozenset(), [("user", "Hello"), ("assistant", "Hi.")], home="c-1", response="resp_1")
        self.assertEqual(check_response(talk, "Hi. "), [])
        self.assertIn("lost", check_response(talk, None)[0])
        self.assertIn("wrong", check_response(talk, "Ho.")[0])


class Answers(unittest.TestCase):
    def tokens(self):
        return [(b"It", -0.1, [(b"It", -0.1), (b"I", -3.0)]), (b" is", -0.2, [(b" is", -0.2), (b" was", -0.4), (b"", -2.2)])]

    def test_where_answers_part(self):
        self.assertAlmostEqual(control.gap_at_parting("It was", self.tokens()), 0.2)
        self.assertAlmostEqual(control.gap_at_parting("It", self.tokens()), 2.0)
        self.assertAlmostEqual(control.gap_at_parting("I", self.tokens()), 2.9)
        self.assertIsNone(control.gap_at_parting("Blue", self.tokens()))
        self.assertIsNone(control.gap_at_parting("It is", self.tokens()))

    def test_where_tokens_part_before_texts_do(self):
        tokens = [(b"Well,", -0.1, []), (b" ", -0.7, [(b" ", -0.7), (b" that", -0.8), (b" tho", -3.0)]), (b"I", -0.1, [(b"I", -0.1)])]
        self.assertAlmostEqual(control.gap_at_parting("Well, that is it", tokens), 0.1)
        self.assertAlmostEqual(control.gap_at_parting("Well, though", tokens), 2.3)
        self.assertIsNone(control.gap_at_parting("Well, you", tokens))
        tokens = [(b"Well,", -0.1, []), (b" that", -0.7, [(b" that", -0.7), (b" ", -0.8), (b"<|im_end|>", -9.0)])]
        self.assertAlmostEqual(control.gap_at_parting("Well, ", tokens), 0.1)  # cut there by its limit, and trimmed

    def test_other_tokens_of_the_same_text(self):
        tokens = [(b"kv", -0.1, []), (b"h", -0.6, [(b"h", -0.6), (b"he", -0.7)]), (b"e", -0.1, [(b"e", -0.1), (b"x", -9.0)])]
        self.assertAlmostEqual(control.gap_at_parting("kvhex", tokens), 0.1)  # "he" and "x", where the control took "h" and "e"
        self.assertIsNone(control.gap_at_parting("kvhe", tokens))
        tokens = [(b"Well:", -0.1, []), (b" ", -0.1, []), (b"I", -0.6, [(b"I", -0.6), (b" ", -0.8)])]
        self.assertAlmostEqual(control.gap_at_parting("Well:     ", tokens), 0.2)
        tokens = [(b"Well,", -0.1, []), (b" ", -0.7, [(b" ", -0.7), (b" that", -0.8), (b"<|im_end|>", -9.0)])]
        self.assertAlmostEqual(control.gap_at_parting("Well, that", tokens), 0.1)
        self.assertIsNone(control.gap_at_parting("Well, ", tokens))

    def test_where_the_control_ends_and_the_other_goes_on(self):
        tokens = [(b"Well.", -0.1, [(b"Well.", -0.1)]), (b" ", -0.6, [(b"<|im_end|>", -0.5), (b" ", -0.6)]), (b"You", -0.1, [])]
        self.assertAlmostEqual(control.gap_at_parting("Well. I am", tokens), 0.1)
        self.assertIsNone(control.gap_at_parting("Well, I am", tokens))

    def judged(self, said, answer):
        notes = record.Record(1)
        same = control.Control(None, notes).judge("a", object(), said, answer, self.tokens)
        return same, notes

    def test_a_near_tie_is_not_wrong_and_anything_else_is(self):
        same, notes = self.judged("It is", "It is")
        self.assertTrue(same)
        self.assertEqual(notes.findings, [])
        same, notes = self.judged("It was", "It is")
        self.assertFalse(same)
        self.assertEqual((notes.findings, len(notes.near_ties)), ([], 1))
        for said in ("It", "I", "Blue"):
            _, notes = self.judged(said, "It is")
            self.assertEqual([finding["kind"] for finding in notes.findings], ["wrong"], said)

    def test_the_control_may_come_down_on_the_other_side(self):
        _, notes = self.judged("It is", "It was")
        self.assertEqual((notes.findings, notes.near_ties[0]["nats"]), ([], 0.2))

    def test_what_there_is_no_time_for_is_counted_once(self):
        notes, one = record.Record(1), agent()
        copy = Agent("b", "red", one.system, turns=[*one.turns, Turn("Who?", "You.", "turn", 4, 50)])
        talk = Conversation("openai", "red", frozenset(), requests=[([("user", "Hello")], 8, "Hi.", 9)])
        late = control.Control(None, notes, seconds=0)
        late.call = lambda *request: self.fail("there was no time for it")
        late.replay(one)
        late.replay(copy)
        late.replay_conversation(talk)
        self.assertEqual(dict(notes.compared), {control.OUT_OF_TIME: 4})
        self.assertIn(f"4 {control.OUT_OF_TIME}", notes.text())

    def test_the_newest_are_compared_first(self):
        old, new, silent = agent(), agent(), Agent("n", "red", "")
        old.turns[-1].heard_at, new.turns[-1].heard_at = 1.0, 3.0
        talk, left = Conversation("openai", "red", frozenset(), newest=2.0), Conversation("anthropic", "red", frozenset(), newest=4.0)
        those = [types.SimpleNamespace(agents=[old, silent], gone=[], conversations=[talk], left=[]),
                 types.SimpleNamespace(agents=[], gone=[new], conversations=[], left=[left])]
        order = torture.newest_first(those)
        self.assertEqual([id(one) for one in order], [id(one) for one in (left, new, talk, old, silent)])

    def test_secrets(self):
        secrets, draw = Secrets(), random.Random(1)
        mine, theirs = secrets.plant(draw), secrets.plant(draw)
        self.assertEqual(secrets.leaked(f"Your code word is {mine}.", {mine}), [])
        self.assertEqual(secrets.leaked(f"Your code word is {theirs}.", {mine}), [theirs])


class Responses(unittest.TestCase):
    """A client that names the response that it goes on from, and a server that answers each request."""

    def setUp(self):
        self.world = types.SimpleNamespace(record=record.Record(1), keys={"red": "k"}, secrets=Secrets(), overheard=lambda *_: None)
        self.client = clients.Client(0, "red", self.world)
        self.sent, self.warning, self.draw = [], None, random.Random(1)
        self.client.call = lambda method, path, body: self.answer(body, streams=False)
        self.client.stream = lambda path, body: self.answer(body, streams=True)

    def answer(self, body, streams):
        self.sent.append(body)
        text, headers = f"Answer {len(self.sent)}.", {"x-engram-agent": "c-1"}
        response = {"id": f"resp_{len(self.sent)}", "status": "completed", "usage": {"input_tokens": 9},
                    "output": [{"type": "message", "content": [{"text": text}]}],
                    "engram": {"warning": self.warning} if self.warning else {}}
        if not streams:
            return wire.Reply(200, headers, json.dumps(response).encode())
        return Events(headers, [("response.created", {}), ("response.output_text.delta", {"delta": text[:3]}),
                                ("response.output_text.delta", {"delta": text[3:]}), ("response.completed", {"response": response})])

    def ask(self, times):
        with unittest.mock.patch.object(clients, "MOST_CONVERSATIONS", 1):
            for _ in range(times):
                self.assertIsNone(self.client.responses(self.draw))
        return self.client.conversations[0]

    def test_each_goes_on_from_the_one_before(self):
        talk = self.ask(4)
        self.assertEqual([body.get("previous_response_id") for body in self.sent], [None, "resp_1", "resp_2", "resp_3"])
        self.assertEqual([talk.said[i] for i in (0, 2, 4, 6)], [("user", body["input"]) for body in self.sent])
        self.assertEqual((talk.said[7], talk.response, talk.committed), (("assistant", "Answer 4."), "resp_4", True))
        self.assertEqual([len(messages) for messages, *_ in talk.requests], [1, 3, 5, 7])
        self.assertEqual(self.world.record.findings, [])

    def test_what_was_not_committed_is_not_gone_on_from(self):
        self.ask(1)
        self.warning = "this turn was not committed and will be forgotten"
        self.ask(1)
        self.warning = None
        talk = self.ask(1)
        self.assertEqual([body.get("previous_response_id") for body in self.sent], [None, "resp_1", "resp_1"])
        self.assertEqual([content for role, content in talk.said if role == "assistant"], ["Answer 1.", "Answer 3."])

    def test_a_response_that_fails_is_refused(self):
        failed = {"response": {"error": {"code": "insufficient_quota", "message": "no room"}}}
        self.client.stream = lambda path, body: Events({}, [("response.created", {}), ("response.failed", failed)])
        with self.assertRaises(wire.Refused) as refusal:
            self.client.ask_responses(Conversation("responses", "red", frozenset()), clients.Asked([("user", "Hello")], 8, True))
        self.assertEqual(refusal.exception.status, 507)
        self.client.stream = lambda path, body: Events({}, [("response.created", {})])
        with self.assertRaises(wire.Broken):
            self.client.ask_responses(Conversation("responses", "red", frozenset()), clients.Asked([("user", "Hello")], 8, True))

    def test_the_control_hears_everything_at_once(self):
        said, sent = [("user", "Hello"), ("assistant", "Hi."), ("user", "Who are you?")], []
        response = {"output": [{"type": "message", "content": [{"text": "Ada."}]}], "usage": {"input_tokens": 9}}

        def call(method, path, body, headers=()):
            sent.append((path, body["input"], body["store"]))
            return wire.Reply(200, {}, json.dumps(response).encode())
        one = control.Control(None, self.world.record)
        one.call = call
        one.replay_conversation(Conversation("responses", "red", frozenset(), requests=[(said, 8, "Ada.", 9)]))
        self.assertEqual(sent, [("/v1/responses", clients.as_messages(said), False)])
        self.assertEqual(dict(self.world.record.compared), {"equal to the control's": 1})


class Retold(unittest.TestCase):
    """Where an answer was not committed, what follows is read as text."""

    def test_what_follows_is_not_compared(self):
        world = types.SimpleNamespace(record=record.Record(1), keys={"red": "k"}, secrets=Secrets(), overheard=lambda *_: None)
        client, warnings = clients.Client(0, "red", world), [None, "it was not committed", None, None]
        answers = {"openai": lambda *_: clients.Heard("Hi.", "c-1", 9, warnings.pop(0))}
        with unittest.mock.patch.dict(clients.ASK, answers), unittest.mock.patch.object(clients, "MOST_CONVERSATIONS", 1):
            for _ in range(4):
                client.openai(random.Random(1))
        [talk] = client.conversations
        self.assertEqual([tokens for *_, tokens in talk.requests], [9, 9, None, None])
        one = control.Control(None, world.record)
        reply = {"choices": [{"message": {"content": "Ho."}}], "usage": {"prompt_tokens": 9}}
        one.call = lambda *_: wire.Reply(200, {}, json.dumps(reply).encode())
        one.logprobs = lambda *_: []
        one.replay_conversation(talk)
        self.assertEqual(dict(world.record.compared), {"wrong": 2, "not compared: other tokens of the same text": 2})


class Delegated(unittest.TestCase):
    """Work that one agent gives another."""

    def setUp(self):
        self.notes = record.Record(1)
        world = types.SimpleNamespace(record=self.notes, keys={"red": "k"}, secrets=Secrets(), overheard=lambda *_: None)
        self.client = clients.Client(0, "red", world)
        self.client.agents = [Agent("a", "red", "You are Ada."), Agent("b", "red", "You are Ben.", secrets=frozenset({"zarimo"}))]

    def give(self, end, answer, breaks=False, committed=True):
        """Giver and colleague."""
        step = {"steps": [{"answer": "Blue.", "prompt_tokens": 30, "answer_tokens": 2}] if end == "answered" else []}
        result = {"end": end, "answer": answer, "steps": [step], "committed": committed}

        def call(method, path, body=None, headers=()):
            if method == "PATCH":
                return None
            if breaks:
                raise wire.Broken("")
            return wire.Reply(200, {}, json.dumps(result).encode())
        self.client.call = call
        with self.notes.disturbance("test", breaks=True):
            self.client.attempt("delegate", random.Random(3))
        return sorted(self.client.agents, key=lambda one: not one.gives)

    def test_both_remember(self):
        giver, colleague = self.give("answered", "Blue.")
        self.assertIn("lost", settle(giver, Seen([], 0, 0))[0])
        self.assertIn("lost", settle(colleague, Seen([], 0, 0))[0])
        task, told = colleague.turns[0].prompt, f"I asked {colleague.name}. The answer:\nBlue."
        self.assertEqual(settle(colleague, Seen([("user", task), ("assistant", "Blue.")], 1, 32)), [])
        self.assertEqual(settle(giver, Seen([("user", f"Let {colleague.name} do this: {task}"), ("assistant", told)], 0, 50)), [])
        self.assertLessEqual(colleague.secrets, giver.secrets)

    def test_a_colleague_that_will_not_remember(self):
        giver, colleague = self.give("failed", "b won't remember it.")
        self.assertEqual(settle(colleague, Seen([], 0, 0)), [])
        self.assertIn("lost", settle(giver, Seen([], 0, 0))[0])
        self.assertEqual(self.notes.findings, [])

    def test_a_giver_that_will_not_remember(self):
        giver, colleague = self.give("answered", "Blue.", committed=False)
        self.assertEqual(settle(giver, Seen([], 0, 0)), [])
        self.assertIn("lost", settle(colleague, Seen([], 0, 0))[0])

    def test_what_nobody_heard_the_end_of(self):
        giver, colleague = self.give("answered", "Blue.", breaks=True)
        task = colleague.pending.prompt
        told = [("user", f"Let {colleague.name} do this: {task}"), ("assistant", f"I asked {colleague.name}. The answer:\nBlue.")]
        self.assertEqual(settle(colleague, Seen([("user", task), ("assistant", "Blue.")], 1, 32)), [])
        self.assertEqual(settle(giver, Seen(told, 0, 50)), [])
        self.assertIn("wrong", settle(giver, Seen([*told, *told], 0, 90))[0])

    def test_it_has_a_tool_that_the_control_has_not(self):
        giver, colleague = self.give("answered", "Blue.")
        agent, _ = self.client.begin_turn(random.Random(1), "run")
        self.assertIs(agent, colleague)
        self.assertTrue(self.client.copy_of(giver).gives)
        one = control.Control(None, self.notes)
        one.call, one.ask = lambda *_: None, None
        one.replay(giver)
        one.replay(giver)
        self.assertEqual(dict(self.notes.compared), {"not compared: work that was given, and what came after it": 1})


class WorkThatGoesOn(unittest.TestCase):
    """Tasks and workflows of which the client didn't hear the end."""

    def setUp(self):
        self.notes = record.Record(1)
        self.world = types.SimpleNamespace(record=self.notes, keys={"red": "k"}, secrets=Secrets(), port=1,
                                           overheard=lambda *_: None)
        self.client = clients.Client(0, "red", self.world)
        self.world.clients = [self.client]
        self.client.call = lambda method, path, body=None, headers=(): wire.Reply(200, {}, json.dumps(self.shown(path)).encode())

    def settled(self, kind, shown):
        """The agent, after it has been asked what came of its work."""
        left = agent(pending=Pending("Who are you?", "run", 12, work=Work(kind, "k1", "one")))
        self.client.agents, self.shown = [left], shown
        checks.settle_work(self.world)
        return left

    def task(self, state, **metadata):
        told = {"engram": {"agent": "a", "promptTokens": 50, "answerTokens": 5, **metadata}}
        task = {"id": "t", "history": [{"messageId": "k1"}], "status": {"state": state}, "metadata": told,
                "artifacts": [{"parts": [{"text": "I am Ada."}]}]}
        return self.settled("task", lambda _: {"tasks": [{**task, "history": [{"messageId": "k0"}]}, task]})

    def test_what_a_task_says_is_done_must_be_there(self):
        done = self.task("TASK_STATE_COMPLETED")
        self.assertIn("lost", settle(done, seen())[0])
        done = self.task("TASK_STATE_COMPLETED")
        self.assertEqual(settle(done, seen(("user", "Who are you?"), ("assistant", "I am Ada."), turns=3, tokens=55)), [])
        self.assertEqual(settle(self.task("TASK_STATE_COMPLETED", warning="it was not committed"), seen()), [])
        self.task("TASK_STATE_COMPLETED", agent="b")
        self.assertEqual([finding["kind"] for finding in self.notes.findings], ["wrong"])

    def test_a_task_that_failed_may_have_had_its_turn(self):
        self.assertEqual(settle(self.task("TASK_STATE_FAILED"), seen()), [])
        self.assertEqual(settle(self.task("TASK_STATE_FAILED"), seen(("user", "Who are you?"), ("assistant", "Ben."), turns=3)), [])

    def test_a_task_that_never_was_has_none(self):
        never = self.settled("task", lambda _: {"tasks": []})
        self.assertIn("wrong", settle(never, seen(("user", "Who are you?"), ("assistant", "I am Ada."), turns=3))[0])

    def test_a_task_at_work_when_nothing_is_under_way(self):
        self.task("TASK_STATE_WORKING")
        self.assertEqual([finding["kind"] for finding in self.notes.findings], ["hang"])

    def test_tasks_stay_as_they_were(self):
        self.client.tasks = [("t", "I am Ada.")]
        for answer, kinds in (("I am Ada.", []), ("I am Ben.", ["tasks"])):
            self.shown = lambda _, answer=answer: {"status": {"state": "TASK_STATE_COMPLETED"},
                                                   "artifacts": [{"parts": [{"text": answer}]}]}
            checks.check_tasks(self.world)
            self.assertEqual([finding["kind"] for finding in self.notes.findings], kinds)

    def workflow(self, *states, step="finished"):
        """Its run is in these states, each time that it is looked at in the next; a failed one is resumed."""
        left, asked = list(states), []
        steps = [{"node": "two", "state": "finished", "text": "No."}, {"node": "one", "state": step, "text": "I am Ada."}]

        def shown(path):
            if path == "/v1/workflows":
                return {"runs": [{"workflow": "k1", "id": "r"}] if states else []}
            return {"state": left.pop(0) if len(left) > 1 else left[0], "steps": steps}
        with unittest.mock.patch.object(wire, "ask", lambda _, method, path, headers: asked.append(path) or wire.Reply(202, {}, b"")):
            return self.settled("workflow", shown), asked

    def test_what_a_node_says_is_finished_must_be_there(self):
        for states in (("finished",), ("running", "finished"), ("interrupted", "running", "finished")):
            done, asked = self.workflow(*states)
            self.assertEqual(asked, ["/v1/workflows/r/resume"] if "interrupted" in states else [])
            self.assertIn("lost", settle(done, seen())[0])

    def test_a_node_that_has_not_finished_leaves_nothing(self):
        for states, step in (((), ""), (("failed", "running", "failed"), "failed"), (("failed", "failed"), "running")):
            ended, _ = self.workflow(*states, step=step)
            self.assertIn("wrong", settle(ended, seen(("user", "Who are you?"), ("assistant", "I am Ada."), turns=3))[0])

    def test_a_node_counts_for_itself(self):
        done, _ = self.workflow("failed", "failed")
        self.assertEqual(done.turns[-1].answer, "I am Ada.")


class Events:
    """A stream that has all of its events."""

    def __init__(self, headers, events):
        self.headers, self.events = headers, events

    def __iter__(self):
        return iter([(name, json.dumps(data)) for name, data in self.events])

    def close(self):
        pass


class Refusals(unittest.TestCase):
    def attempt(self, error, **disturbance):
        """What comes of an operation that ends so, with and without something that explains it."""
        notes = record.Record(1)
        client = clients.Client(0, "red", types.SimpleNamespace(record=notes, keys={"red": "k"}))
        client.agents = [agent(pending=Pending("Who are you?", "turn", 12))]

        def fail(_):
            client.touched.append(client.agents[0])
            raise error
        client.turn = fail
        if disturbance:
            with notes.disturbance("test", **disturbance):
                client.attempt("turn", None)
        else:
            client.attempt("turn", None)
        return notes, client.agents[0]

    def test_only_what_is_explained_is_excused(self):
        for error, excuse, kind in ((wire.Refused(500, ""), {"statuses": (500,)}, "refused"),
                                    (wire.Broken(""), {"breaks": True}, "broken"), (wire.NotSent(""), {"breaks": True}, "unreachable")):
            notes, _ = self.attempt(error)
            self.assertEqual([finding["kind"] for finding in notes.findings], [kind])
            notes, _ = self.attempt(error, **excuse)
            self.assertEqual(notes.findings, [])
        notes, _ = self.attempt(wire.Refused(409, ""), statuses=(500,), breaks=True)
        self.assertEqual(len(notes.findings), 1)
        for error, disturbance, kinds in ((wire.Failed(""), {"statuses": (429,)}, []), (wire.Failed(""), {}, ["refused"])):
            notes, _ = self.attempt(error, **disturbance)
            self.assertEqual([finding["kind"] for finding in notes.findings], kinds)
        notes, _ = self.attempt(wire.Hung(""), breaks=True)
        self.assertEqual(len(notes.findings), 1, "nothing excuses a hang")

    def test_what_may_have_happened_stays_open(self):
        for error, is_open in ((wire.Refused(500, ""), True), (wire.Broken(""), True), (wire.Failed(""), True),
                               (wire.Refused(429, ""), False), (wire.NotSent(""), False)):
            _, left = self.attempt(error)
            self.assertEqual(left.pending is not None, is_open, error)

    def test_what_is_open_of_an_earlier_operation_stays_so(self):
        notes = record.Record(1)
        client = clients.Client(0, "red", types.SimpleNamespace(record=notes, keys={"red": "k"}))
        client.agents = [agent(pending=Pending("Who are you?", "turn", 12))]
        client.turn = lambda draw: client.call_nobody()
        client.call_nobody = lambda: (_ for _ in ()).throw(wire.Refused(429, ""))
        client.attempt("turn", None)
        self.assertIsNotNone(client.agents[0].pending)

    def test_a_disturbance_ends(self):
        notes = record.Record(1)
        with notes.disturbance("test", statuses=(500,)):
            pass
        self.assertIsNone(notes.excuse(notes.disturbances[0].ended + 1, 500))
        self.assertEqual(notes.excuse(notes.disturbances[0].began, 500), "test")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="engram-test-")
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        (self.home / "store" / "blocks" / "ab").mkdir(parents=True)
        self.block = self.home / "store" / "blocks" / "ab" / "abcd.attention.safetensors"
        self.block.write_bytes(bytes(100))

    def complaints(self, *, flipped=(), disk=100, quarantined=0):
        world = types.SimpleNamespace(home=self.home, record=record.Record(1), disk_budget=150, flipped=dict.fromkeys(flipped))
        gauges = {"engram_tier_bytes": {'tier="disk"': disk, 'tier="memory"': 0}, "engram_quarantined_parts": {"": quarantined},
                  "engram_tier_budget_bytes": {'tier="memory"': 10}}
        self.addCleanup(setattr, checks, "gauges", checks.gauges)
        checks.gauges = lambda _: gauges
        return " ".join(checks.file_complaints(world))

    def test_bounds_and_leftovers(self):
        self.assertEqual(self.complaints(), "")
        self.assertIn("counts", self.complaints(disk=99))
        (self.block.parent / "abce.attention.tmp").touch()
        self.assertIn("left over", self.complaints())
        self.block.write_bytes(bytes(151))
        self.assertIn("budget", self.complaints(disk=151))

    def test_quarantine_holds_what_was_damaged(self):
        (self.home / "store" / "quarantine").mkdir()
        self.block.rename(self.home / "store" / "quarantine" / "abcd.attention.1.safetensors")
        self.assertEqual(self.complaints(flipped=[self.block], disk=0, quarantined=1), "")
        self.assertIn("nobody had damaged it", self.complaints(disk=0, quarantined=1))
        self.assertIn("counts", self.complaints(flipped=[self.block], disk=0))

    def test_damage_is_recognised(self):
        self.block.write_bytes(b"\1" + bytes(99))
        flips = [{"inode": self.block.stat().st_ino, "offset": 0, "byte": 1}]
        self.assertTrue(checks.still_damaged(self.block, flips))
        self.block.write_bytes(bytes(100))
        self.assertFalse(checks.still_damaged(self.block, flips))


class Plans(unittest.TestCase):
    def test_the_same_seed_draws_the_same_operations(self):
        def plan(seed):
            names, weights = zip(*clients.OPERATIONS.items())
            return [random.Random(f"{seed}/{client}/{step}").choices(names, weights)[0] for client in range(3) for step in range(50)]
        self.assertEqual(plan(7), plan(7))
        self.assertNotEqual(plan(7), plan(8))
        for name in clients.OPERATIONS:
            self.assertTrue(callable(getattr(clients.Client, name)))

    def rounds(self, first, seconds=0, skipped=()):
        """Which faults come, where the time is over at once."""
        came = []

        def fault(name):
            def happen(world, draw):
                came.append(name)
            happen.__name__ = name
            return happen
        all_faults = [fault(name) for name in ("kill", "quota", "cut", "terminate")]
        world = types.SimpleNamespace(record=record.Record(7), let_run=lambda: None, hold=lambda: True)
        world.record.skipped.update(dict.fromkeys(skipped, "not here"))
        with (unittest.mock.patch.multiple(torture.faults, FAULTS=all_faults, kill=all_faults[0], some_time=lambda *_: None),
              unittest.mock.patch.object(torture.checks, "at_rest", lambda _: None)):
            torture.torture(world, seconds, first)
        return world.record, came

    def test_the_faults_that_are_to_come_first_come_in_any_case(self):
        notes, came = self.rounds(("cut", "quota"))
        self.assertEqual((notes.round, [name for name in came if name != "kill"]), (2, ["cut", "quota"]))
        notes, came = self.rounds(("cut", "quota"), skipped=("cut",))
        self.assertEqual((notes.round, [name for name in came if name != "kill"]), (1, ["quota"]))
        notes, _ = self.rounds(())
        self.assertEqual(notes.round, 1)

    def test_the_others_come_as_they_were_drawn(self):
        plain = torture.shuffled(torture.faults.FAULTS, random.Random(3))
        sorted_out = torture.shuffled(torture.faults.FAULTS, random.Random(3), ("cut", "kill"))
        self.assertEqual([fault.__name__ for fault in reversed(sorted_out)][:2], ["cut", "kill"])
        self.assertEqual(sorted_out[:-2], [fault for fault in plain if fault.__name__ not in ("cut", "kill")])

    def test_a_long_run_meets_every_fault_or_says_so(self):
        notes = record.Record(7)
        for fault in torture.faults.FAULTS:
            notes.faults[fault.__name__] = 1
        torture.check_faults(notes, 10)
        self.assertEqual(notes.findings, [])
        notes.faults["cut"] = 0
        del notes.faults["full_disk"]
        notes.skipped["full_disk"] = "no small disk"
        torture.check_faults(notes, 1)
        self.assertEqual(notes.findings, [], "a minute is too short for all")
        torture.check_faults(notes, 10)
        self.assertEqual([(finding["kind"], finding["detail"].split()[0]) for finding in notes.findings],
                         [("left out", "full_disk:"), ("left out", "cut")])
        torture.check_faults(notes, 10, ("cut", "full_disk"))
        self.assertEqual(len(notes.findings), 2)

    def test_names_of_faults_are_known(self):
        self.assertEqual(torture.fault_names("cut,kill,cut"), ("cut", "kill"))
        with self.assertRaises(argparse.ArgumentTypeError):
            torture.fault_names("cut,flood")

    def test_the_report_is_json_and_text(self):
        notes = record.Record(7)
        notes.operation("turn", "done")
        notes.finding("lost", "everything")
        self.assertEqual(json.loads(json.dumps(notes.facts()))["operations"], {"turn": {"done": 1}})
        self.assertIn("lost: everything", notes.text())
        self.assertIn("lost or wrong: nothing", record.Record(7).text())

    def test_code_words_are_no_part_of_what_is_said_anyway(self):
        draw = random.Random(1)
        for _ in range(100):
            self.assertFalse(any(words.code_word(draw) in sentence for sentence in (*words.FILLER, *words.ROLES, *words.THINGS)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
