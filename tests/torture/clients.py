"""Clients that do something random, again and again: each has agents and conversations of its own, and one tenant's key.

What a client does in its n-th step is drawn from (seed, client, n) alone, whatever came of the steps before. An operation notes in the
oracle what may have happened before it sends, and what has happened when it heard so.
"""
import dataclasses
import json
import random
import threading
import time

import wire
import words
from oracle import MAYBE, NO, YES, Agent, Conversation, Pending, Turn, Work

MOST_AGENTS = 5
MOST_CONVERSATIONS = 3
LONGEST_AGENT = 700  # tokens: then nobody talks to it any more, and it is deleted
NOT_COMMITTED = "not committed"
MCP_VERSION = "2026-07-28"
A2A = {"a2a-version": "1.0"}
A2A_TOKENS = 4096  # of a task's answer, which its client can't choose
CONTEXT_IS_FULL = "context is full"
RESULT_TOKENS = 64  # of a colleague: it may say as much, and why it failed is cut to it
WONT_REMEMBER = "won't remember it"
TASKS_KEPT_IN_MIND = 6
PAUSE_WHEN_DOWN_S = 0.1
PAUSE_AFTER_REFUSAL_S = 0.03
# Refusals after which it isn't known whether something has happened: the server failed in the middle.
FAILED_INSIDE = (500, 507, "failed")


class Client(threading.Thread):
    def __init__(self, number, tenant, world):
        super().__init__(name=f"client{number}", daemon=True)
        self.number, self.tenant, self.world = number, tenant, world
        self.key = {"authorization": f"Bearer {world.keys[tenant]}"}
        self.agents, self.gone, self.conversations, self.left = [], [], [], []
        self.tasks = []  # A2A: (id, answer) of the last that were acknowledged
        self.step = self.made = 0
        self.touched, self.began = [], 0.0  # agents that the operation under way is about; when it began
        self.last = "nothing"  # what it is doing, for whoever finds it hanging

    # --- the loop ---

    def run(self):
        while self.world.wait_for_start(self):
            draw = random.Random(f"{self.world.record.seed}/{self.number}/{self.step}")
            self.step += 1
            names, weights = zip(*OPERATIONS.items())
            self.attempt(draw.choices(names, weights)[0], draw)

    def attempt(self, kind, draw):
        record, since = self.world.record, time.monotonic()
        self.last, self.touched, self.began = kind, [], since
        try:
            outcome = getattr(self, kind)(draw) or "done"
            if outcome == "nothing":  # no agent to do it to
                return
        except wire.NotSent as error:
            outcome = "unreachable"
            self.forget_pending()
            if record.excuse(since) is None:
                outcome = self.failed(kind, "unreachable", error)
            time.sleep(PAUSE_WHEN_DOWN_S)
        except wire.Broken as error:
            outcome = "open"
            if record.excuse(since) is None:
                outcome = self.failed(kind, "broken", error)
            time.sleep(PAUSE_WHEN_DOWN_S)
        except wire.Hung as error:
            outcome = self.failed(kind, "hang", error)
        except wire.Refused as error:
            outcome = "refused"
            if error.status not in FAILED_INSIDE:
                self.forget_pending()
            if record.excuse(since, error.status) is None:
                outcome = self.failed(kind, "refused", error)
            time.sleep(PAUSE_AFTER_REFUSAL_S)
        except Exception as error:  # the answer made no sense, or we don't: a finding either way, and the others go on
            outcome = self.failed(kind, "nonsense", repr(error))
        record.operation(kind, outcome)

    def failed(self, kind, how, error):
        self.world.record.finding(how, f"{kind} of {self.name}: {error}")
        return "failed"

    def forget_pending(self):
        """Nothing of what the operation was about has happened; what is open of earlier ones stays so."""
        for agent in self.touched:
            agent.pending = None
            if agent.there == MAYBE:
                agent.there = YES if agent.was_there else NO
            agent.renamed_from = None
        self.gone += [agent for agent in self.agents if agent.there == NO]
        self.agents = [agent for agent in self.agents if agent.there != NO]

    def call(self, method, path, body=None, headers=()):
        return wire.done(self.world.port, method, path, body, {**self.key, **dict(headers)})

    def stream(self, path, body, headers=()):
        return wire.Stream(self.world.port, path, body, {**self.key, **dict(headers)})

    # --- agents ---

    def some_agent(self, draw, longest=None, without_tools=False):
        settled = [agent for agent in self.agents if agent.settled and agent.there == YES and not (without_tools and agent.gives)]
        if longest is not None:
            settled = [agent for agent in settled if agent.tokens <= longest]
        return draw.choice(settled) if settled else None

    def new_agent(self, system, secrets=frozenset(), turns=(), gives=False):
        """One that may come to be: it is in the oracle before the request is sent."""
        self.made += 1
        agent = Agent(f"c{self.number}-{self.made}", self.tenant, system, secrets, list(turns), MAYBE, was_there=False, gives=gives)
        self.agents.append(agent)
        self.touched.append(agent)
        return agent

    def copy_of(self, agent):
        return self.new_agent(agent.system, agent.secrets, agent.turns, agent.gives)

    def create(self, draw):
        if len(self.agents) >= MOST_AGENTS:
            return self.delete(draw)
        agent = self.new_agent(f"{draw.choice(words.ROLES)} Your desk has number {self.number}{self.made:03}.")
        self.call("POST", "/v1/agents", {"id": agent.name, "system_prompt": agent.system})
        agent.there = YES
        return None

    def next_prompt(self, draw, agent):
        if not agent.turns or draw.random() < 0.5:
            word = self.world.secrets.plant(draw)
            agent.secrets |= {word}
            return words.telling(draw, word, draw.choice((0, 0, 1, 4, 20)))
        return words.question(draw)

    def begin_turn(self, draw, how):
        agent = self.some_agent(draw, LONGEST_AGENT, without_tools=how == "run")
        if agent is None:
            return None, None
        self.touched.append(agent)
        agent.pending = Pending(self.next_prompt(draw, agent), how, draw.choice((4, 12, 24, 40)))
        return agent, {"prompt": agent.pending.prompt, "max_tokens": agent.pending.max_tokens, "temperature": 0}

    def heard(self, agent, text, tokens_after, warning):
        """The end of an answer was heard: from now on it must be there, unless the server says that it won't."""
        pending, agent.pending = agent.pending, None
        self.world.overheard(f"agent {agent.name}", text, agent.secrets)
        if warning and NOT_COMMITTED in warning:
            self.world.record.compared["not committed, as the answer said"] += 1
            return
        # An agent belongs to the model that talks to it first, which may have been another one. At rest it is known.
        foreign = MAYBE if not agent.turns and self.world.record.excuse(self.began, 409) else NO
        agent.turns.append(Turn(pending.prompt, text, pending.how, pending.max_tokens, tokens_after, foreign=foreign))

    def heard_turn(self, agent, result):
        if result["prompt_tokens"] != result["reused_tokens"] + result["computed_tokens"]:
            self.world.record.finding("wrong", f"tokens of {agent.name} don't add up: {result}")
        self.heard(agent, result["answer"], result["prompt_tokens"] + result["answer_tokens"], result["warning"])

    def turn(self, draw):
        agent, body = self.begin_turn(draw, "turn")
        if agent is None:
            return "nothing"
        self.heard_turn(agent, self.call("POST", f"/v1/agents/{agent.name}/turn", body).json())
        return None

    def streamed_turn(self, draw, leave_after=None):
        agent, body = self.begin_turn(draw, "turn")
        if agent is None:
            return "nothing"
        stream = self.stream(f"/v1/agents/{agent.name}/turn", body)
        for count, (name, data) in enumerate(stream):
            data = json.loads(data)
            if name == "text":
                agent.pending.heard += data["text"]
            elif name == "error":
                raise wire.Refused(wire.STATUS_OF_CODE.get(data["code"], 500), data["message"])
            elif name == "done":
                stream.close()
                if agent.pending.heard != data["answer"]:
                    self.world.record.finding("wrong", f"streamed {agent.pending.heard!r}, done says {data['answer']!r}")
                return self.heard_turn(agent, data)
            if count == leave_after:
                stream.close()
                return "open"
        raise wire.Broken("the stream ended without its last event")

    def cancelled_turn(self, draw):
        return self.streamed_turn(draw, draw.choice((0, 1, 2, 5, 9)))

    def run_of_agent(self, draw):
        agent, body = self.begin_turn(draw, "run")
        if agent is None:
            return "nothing"
        result = self.call("POST", f"/v1/agents/{agent.name}/run", body).json()
        used = result["usage"]
        self.heard(agent, result["answer"], used["prompt_tokens"] + used["answer_tokens"], result["warning"])
        return None

    def mcp_of_agent(self, draw):
        agent, body = self.begin_turn(draw, "run")
        if agent is None:
            return "nothing"
        result = self.tool("ask_agent", {"agent": agent.name, "message": body["prompt"], "max_tokens": body["max_tokens"]})
        self.heard(agent, result["text"], result["prompt_tokens"] + result["answer_tokens"], result["warning"])
        return None

    def tool(self, name, arguments):
        """What an MCP tool gives programs, asked without a session."""
        body = {"jsonrpc": "2.0", "id": self.step, "method": "tools/call", "params": {
            "name": name, "arguments": arguments,
            "_meta": {"io.modelcontextprotocol/protocolVersion": MCP_VERSION, "io.modelcontextprotocol/clientCapabilities": {}}}}
        reply = self.call("POST", "/mcp", body, {"mcp-protocol-version": MCP_VERSION, "mcp-method": "tools/call", "mcp-name": name,
                                                 "accept": "application/json, text/event-stream"})
        result = wire.rpc_result(reply)
        if result.get("isError"):
            raise wire.Refused(result["_meta"]["engram/status"], result["content"][0]["text"])
        return result["structuredContent"]

    def chat_of_agent(self, draw):
        agent, body = self.begin_turn(draw, "chat")
        if agent is None:
            return "nothing"
        answer = self.call("POST", "/v1/chat/completions", chat_body(body), {"x-engram-agent": agent.name}).json()
        used = answer["usage"]
        self.heard(agent, answer["choices"][0]["message"]["content"], used["total_tokens"], warning_of(answer))
        return None

    def batch(self, draw):
        first, body = self.begin_turn(draw, "turn")
        if first is None:
            return "nothing"
        second, other = self.begin_turn(draw, "turn")
        turns = [{"agent": first.name, **body}] + ([{"agent": second.name, **other}] if second else [])
        agents = [agent for agent in (first, second) if agent]
        refusal = None
        for agent, result in zip(agents, self.call("POST", "/v1/agents/batch", {"turns": turns}).json()["results"]):
            if "error" in result:
                refusal = wire.Refused(wire.STATUS_OF_CODE.get(result["error"]["code"], 500), result["error"]["message"])
            else:
                self.heard_turn(agent, result)
        if refusal:
            raise refusal
        return None

    def delegate(self, draw):
        """Work that one agent gives to another: both are to remember it."""
        colleague, body = self.begin_turn(draw, "run")
        giver = self.some_agent(draw, LONGEST_AGENT) if colleague else None
        if giver is None:
            self.forget_pending()
            return "nothing"
        self.touched.append(giver)
        giver.gives = True
        self.call("PATCH", f"/v1/agents/{giver.name}", {"card": {"colleagues": [colleague.name]}})
        colleague.pending.max_tokens = RESULT_TOKENS
        giver.pending = Pending(f"Let {colleague.name} do this: {body['prompt']}", "given", 0)
        giver.secrets |= colleague.secrets
        given = self.call("POST", f"/v1/agents/{giver.name}/delegate", {"to": colleague.name, "task": body["prompt"], "limits": {
            "result_tokens": RESULT_TOKENS}}).json()
        # Its warnings may be about the colleague's memory.
        self.heard(giver, f"I asked {colleague.name}. The answer:\n{given['answer']}", None, None if given["committed"] else NOT_COMMITTED)
        if given["end"] != "answered":
            if WONT_REMEMBER in given["answer"]:
                colleague.pending = None
                self.world.record.compared["not committed, as the answer said"] += 1
            raise wire.Failed(given["answer"])
        [step] = given["steps"][0]["steps"]
        self.heard(colleague, step["answer"], step["prompt_tokens"] + step["answer_tokens"], None)
        return None

    # --- work that goes on without its client ---

    def a2a_of_agent(self, draw):
        """A task of a context that is the agent itself."""
        agent, _ = self.begin_turn(draw, "run")
        if agent is None:
            return "nothing"
        pending = agent.pending
        pending.max_tokens, pending.work = A2A_TOKENS, Work("task", f"{self.name}-{self.step}")
        body = {"message": {"messageId": pending.work.key, "role": "ROLE_USER", "contextId": agent.name,
                            "parts": [{"text": pending.prompt}]}}
        if draw.random() < 0.5:
            return self.take_task(agent, self.call("POST", "/a2a/message:send", body, A2A).json()["task"])
        leave_after, task = draw.choice((None, None, 0, 2, 5)), None
        stream = self.stream("/a2a/message:stream", body, A2A)
        for count, (_, data) in enumerate(stream):
            event = json.loads(data)
            task = event.get("task", task)
            if piece := event.get("artifactUpdate"):
                pending.heard = (pending.heard if piece["append"] else "") + text_of_parts(piece["artifact"])
            elif status := event.get("statusUpdate"):
                task |= {"status": status["status"], "metadata": status.get("metadata") or {}}
            if task["status"]["state"] in OVER:
                stream.close()
                return self.take_task(agent, task | {"artifacts": [{"parts": [{"text": pending.heard}]}]})
            if count == leave_after:
                stream.close()
                return "open"
        raise wire.Broken("the stream ended without its last event")

    def take_task(self, agent, task):
        if task["status"]["state"] != "TASK_STATE_COMPLETED":
            why = text_of_parts(task["status"].get("message") or {"parts": []})
            if CONTEXT_IS_FULL in why:  # what was said until then is in the agent's memory
                return "open"
            raise wire.Failed(why)
        told = task["metadata"]["engram"]
        if told["agent"] != agent.name:
            self.world.record.finding("wrong", f"a task of {agent.name} was {told['agent']}'s: {told}")
        text = text_of_parts(task["artifacts"][0])
        self.heard(agent, text, told["promptTokens"] + told["answerTokens"], told.get("warning"))
        self.tasks = [*self.tasks[1 - TASKS_KEPT_IN_MIND:], (task["id"], text)]
        return None

    def workflow(self, draw):
        """Two nodes at the same time, each of which an agent is to remember; or one."""
        agents = [agent for agent, _ in (self.begin_turn(draw, "run"), self.begin_turn(draw, "run")) if agent]
        if not agents:
            return "nothing"
        name, nodes, inputs = f"w{self.number}-{self.step}", {}, {}
        for node, agent in zip(("one", "two"), agents):
            agent.pending.work = Work("workflow", name, node)
            inputs[node] = agent.pending.prompt
            nodes[node] = {"agent": agent.name, "prompt": f"${{{{ inputs.{node} }}}}", "max_tokens": agent.pending.max_tokens,
                           "memory": "keep"}
        definition = json.dumps({"name": name, "inputs": {node: {} for node in nodes}, "nodes": nodes})
        leave_after = draw.choice((None, None, 0, 3, 9))
        stream = self.stream("/v1/workflows", {"definition": definition, "inputs": inputs})
        for count, (event, data) in enumerate(stream):
            if event == "end":
                stream.close()
                run = json.loads(data)
                for agent in agents:
                    self.take_node(agent, run)
                if run["state"] != "finished":
                    raise wire.Failed(f"the workflow is {run['state']}: {run['error']}")
                return None
            if count == leave_after:
                stream.close()
                return "open"
        raise wire.Broken("the stream ended without its last event")

    def take_node(self, agent, run):
        """Whether it was heard that the agent remembers the node's turn."""
        for step in run["steps"]:
            if step["node"] == agent.pending.work.node and step["state"] == "finished":
                self.heard(agent, step["text"], None, None)
                return True
        return False

    def fork(self, draw):
        source = self.some_agent(draw)
        if source is None or len(self.agents) >= MOST_AGENTS:
            return "nothing"
        copy = self.copy_of(source)
        self.call("POST", f"/v1/agents/{source.name}/fork", {"id": copy.name})
        copy.there = YES
        return None

    def rename(self, draw):
        agent = self.some_agent(draw)
        if agent is None:
            return "nothing"
        renamed = self.copy_of(agent)
        self.touched.append(agent)
        agent.there, agent.was_there, renamed.renamed_from = MAYBE, True, agent
        self.call("PATCH", f"/v1/agents/{agent.name}", {"id": renamed.name})
        agent.there, renamed.there, renamed.renamed_from = NO, YES, None
        self.agents.remove(agent)
        self.gone.append(agent)
        return None

    def delete(self, draw):
        """Of the agents that may be deleted the longest, or any."""
        settled = [agent for agent in self.agents if agent.settled]
        if not settled:
            return "nothing"
        agent = max(settled, key=lambda one: one.tokens) if draw.random() < 0.5 else draw.choice(settled)
        self.touched.append(agent)
        agent.there, agent.was_there = MAYBE, True
        self.call("DELETE", f"/v1/agents/{agent.name}")
        agent.there = NO
        self.agents.remove(agent)
        self.gone.append(agent)
        return None

    def copy_as_file(self, draw):
        agent = self.some_agent(draw)
        if agent is None or len(self.agents) >= MOST_AGENTS:
            return "nothing"
        if agent.turns and agent.turns[0].foreign != NO:
            return "nothing"  # its KV may be another model's, which is refused
        file = self.call("GET", f"/v1/agents/{agent.name}/export").body
        copy = self.copy_of(agent)
        self.call("POST", f"/v1/agents/import?as={copy.name}", file, {"content-type": "application/octet-stream"})
        copy.there = YES
        return None

    def damaged_file(self, draw):
        agent = self.some_agent(draw)
        if agent is None:
            return "nothing"
        file = bytearray(self.call("GET", f"/v1/agents/{agent.name}/export").body)
        if draw.random() < 0.5:
            file[draw.randrange(len(file))] ^= 1 << draw.randrange(8)
        else:
            del file[draw.randrange(len(file)):]
        return self.must_be_refused(("POST", f"/v1/agents/import?as=c{self.number}-damaged", bytes(file)), (400, 409))

    def memory(self, draw):
        """Where an agent's memory is, and how long it is kept: nothing that may change what it says."""
        agent = self.some_agent(draw)
        if agent is None:
            return "nothing"
        path = f"/v1/agents/{agent.name}"
        method, path, body = draw.choice((
            ("POST", path + "/evict", {"to": "disk"}), ("POST", path + "/evict", {"to": "memory"}),
            ("POST", path + "/prewarm", None), ("POST", path + "/save", None), ("POST", path + "/pin", None),
            ("POST", path + "/unpin", None), ("PATCH", path, {"retention": draw.choice(("5m", "1h", "forever", "standard"))})))
        try:
            self.call(method, path, body)
        except wire.Refused as error:
            # No memory to bring in, no room for it, or damage that was done to it: the answer to these questions, not a failure.
            damaged = error.status == 500 and self.world.flipped
            unread = error.status == 409 and "another tokenizer" in error.text  # an adopted agent's, until its next turn
            if not damaged and not unread and (error.status not in (404, 507) or "there is no agent" in error.text):
                raise
        return None

    def look(self, draw):
        agent = self.some_agent(draw)
        if agent is None:
            return "nothing"
        path = draw.choice((f"/v1/agents/{agent.name}", f"/v1/agents/{agent.name}/stats", "/v1/usage", "/v1/models", "/v1/agents"))
        self.call("GET", path)
        return None

    # --- requests that are wrong ---

    def bad_request(self, draw):
        other = draw.choice([client for client in self.world.clients if client.tenant != self.tenant])
        theirs = other.agents[0].name if other.agents else "absent"
        response = next((talk.response for talk in list(other.conversations) if talk.response), "resp_absent")
        return self.must_be_refused(*draw.choice((
            (("POST", "/v1/chat/completions", "{\"messages\": ["), (400,)),
            (("POST", "/v1/messages", {"messages": [], "max_tokens": 4}), (400,)),
            (("POST", "/v1/chat/completions", chat_body({"prompt": "Hello", "max_tokens": -3})), (400,)),
            (("POST", "/v1/agents/absent/turn", {"prompt": "Hello", "max_tokens": 4}), (404,)),
            (("POST", f"/v1/agents/{theirs}/turn", {"prompt": "What is my code word?", "max_tokens": 4}), (404,)),
            (("GET", f"/v1/agents/{theirs}/transcript"), (404,)),
            (("DELETE", f"/v1/agents/{theirs}"), (404,)),
            (("GET", f"/v1/responses/{response}"), (404,)),
            (("POST", "/v1/responses", {"model": "engram-nano", "input": "What is my code word?", "previous_response_id": response,
                                        "max_output_tokens": 4}), (400,)),
            (("GET", "/metrics"), (403,)),
            (("GET", "/v1/nothing"), (404,)),
            (("POST", "/v1/agents", {"id": "../up"}), (400,)),
            (("POST", "/v1/chat/completions", chat_body({"prompt": words.filler(draw, 400), "max_tokens": 4})), (400,)),
            (("GET", "/v1/agents", None, {"authorization": "Bearer engram-wrong"}), (401,)))))

    def must_be_refused(self, request, statuses):
        try:
            self.call(*request)
        except wire.Refused as error:
            if error.status in statuses:
                return None
            raise
        self.world.record.finding("wrong", f"{request[0]} {request[1]} was done, and should have been refused")
        return "failed"

    # --- conversations ---

    def conversation(self, draw, protocol, leave_after=None):
        ongoing = [c for c in self.conversations if c.protocol == protocol]
        if not ongoing or (len(ongoing) < MOST_CONVERSATIONS and draw.random() < 0.3):
            ongoing = [Conversation(protocol, self.tenant, frozenset({self.world.secrets.plant(draw)}))]
            self.conversations += ongoing
        talk = draw.choice(ongoing)
        word = next(iter(talk.secrets))
        # At its beginning so many words that no two conversations begin alike.
        question = words.question(draw) if talk.said else words.telling(draw, word, draw.choice((1, 6, 25)))
        messages, most = [*talk.said, ("user", question)], draw.choice((8, 24))
        heard = ASK[protocol](self, talk, Asked(messages, most, draw.random() < 0.5, leave_after))
        if heard is None:
            return "open"
        home, warning = heard.home, heard.warning or ""
        self.world.overheard(f"{protocol} conversation {home}", heard.text, talk.secrets)
        # Without the tokens of the prompt it isn't compared: as text they may be others, and as many.
        talk.requests.append((messages, most, heard.text, None if talk.retold else heard.prompt_tokens))
        talk.newest = time.monotonic()
        if protocol == "responses" and NOT_COMMITTED in warning:
            self.world.record.compared["not committed, as the answer said"] += 1
            return None  # nothing can go on from that response: the next request goes on from the one before
        talk.said, talk.home, talk.response = [*messages, ("assistant", heard.text)], home, heard.response
        # A stream that has to wait for long sends its headers before it is known which conversation it is.
        talk.committed = bool(home) and NOT_COMMITTED not in warning
        talk.retold |= NOT_COMMITTED in warning
        if len(talk.said) > 10 or not heard.text:  # a model may say nothing at all, and Anthropic's clients can't send that back
            self.conversations.remove(talk)
            self.left.append(talk)
        return None

    def openai(self, draw):
        return self.conversation(draw, "openai")

    def anthropic(self, draw):
        return self.conversation(draw, "anthropic")

    def responses(self, draw):
        return self.conversation(draw, "responses")

    def cancelled_chat(self, draw):
        return self.conversation(draw, draw.choice(tuple(ASK)), draw.choice((0, 1, 2, 4)))

    def ask_openai(self, talk, asked):
        body = asked.body()
        if asked.whole:
            reply = self.call("POST", "/v1/chat/completions", body)
            answer = reply.json()
            return Heard(answer["choices"][0]["message"]["content"], reply.headers["x-engram-agent"], answer["usage"]["prompt_tokens"],
                         warning_of(answer))
        stream, text, warning, used = self.stream("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}}), "", None, {}
        for count, (_, data) in enumerate(stream):
            if data == "[DONE]":
                stream.close()
                return Heard(text, stream.headers["x-engram-agent"], used["prompt_tokens"], warning)
            chunk = json.loads(data)
            if "error" in chunk:
                raise wire.Refused(int(chunk["error"].get("status") or 500), data)
            text += (chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""
            warning = warning_of(chunk) or warning
            used = chunk.get("usage") or used
            if count == asked.leave_after:
                stream.close()
                return None
        raise wire.Broken("the stream ended without its last event")

    def ask_anthropic(self, talk, asked):
        body, version = asked.body(), {"anthropic-version": "2023-06-01"}
        if asked.whole:
            reply = self.call("POST", "/v1/messages", body, version)
            answer = reply.json()
            return Heard("".join(part["text"] for part in answer["content"]), reply.headers["x-engram-agent"],
                         input_tokens(answer["usage"]), warning_of(answer))
        stream, text, used, warning = self.stream("/v1/messages", body, version), "", {}, None
        for count, (name, data) in enumerate(stream):
            if name == "message_stop":
                stream.close()
                return Heard(text, stream.headers["x-engram-agent"], input_tokens(used), warning)
            if name == "message_start":
                used = json.loads(data)["message"]["usage"]
            if name == "message_delta":  # a stream that has to wait for long has begun before it is known how much is read
                used |= json.loads(data)["usage"]
                warning = warning_of(json.loads(data))
            if name == "error":
                raise wire.Refused(500, data)
            if name == "content_block_delta":
                text += json.loads(data)["delta"]["text"]
            if count == asked.leave_after:
                stream.close()
                return None
        raise wire.Broken("the stream ended without its last event")

    def ask_responses(self, talk, asked):
        """Only the question is sent: what was said before is the server's to know, by the name of its last answer."""
        body = {"model": "engram-nano", "input": asked.messages[-1][1], "max_output_tokens": asked.most, "temperature": 0}
        if talk.response:
            body["previous_response_id"] = talk.response
        if asked.whole:
            reply = self.call("POST", "/v1/responses", body)
            return heard_response(reply.json(), reply.headers)
        stream, text = self.stream("/v1/responses", body), ""
        for count, (name, data) in enumerate(stream):
            data = json.loads(data)
            if name in ("response.completed", "response.incomplete"):
                stream.close()
                heard = heard_response(data["response"], stream.headers)
                if heard.text != text:
                    self.world.record.finding("wrong", f"streamed {text!r}, the response says {heard.text!r}")
                return heard
            if name == "response.failed":
                error = data["response"]["error"]
                raise wire.Refused(wire.STATUS_OF_RESPONSE.get(error["code"], 500), error["message"])
            if name == "response.output_text.delta":
                text += data["delta"]
            if count == asked.leave_after:
                stream.close()
                return None
        raise wire.Broken("the stream ended without its last event")


@dataclasses.dataclass
class Asked:
    """A request of a conversation."""
    messages: list  # (role, content), all of them
    most: int  # tokens of the answer
    streams: bool
    leave_after: int | None = None  # after so many events the client goes away

    @property
    def whole(self):
        """Whether the answer is to come in one piece."""
        return not self.streams and self.leave_after is None

    def body(self):
        return {"model": "engram-nano", "messages": as_messages(self.messages), "max_tokens": self.most, "temperature": 0}


@dataclasses.dataclass
class Heard:
    """An answer of which the end was heard."""
    text: str
    home: str  # the agent that it belongs to; "": that wasn't known yet when the headers were sent
    prompt_tokens: int
    warning: str | None = None
    response: str = ""  # its id, where the protocol gives it one


def heard_response(response, headers):
    if response["status"] == "cancelled":  # a server that ends has not waited for the rest
        raise wire.Broken("the response was cancelled")
    return Heard(text_of_response(response), headers.get("x-engram-agent", ""), response["usage"]["input_tokens"],
                 warning_of(response), response["id"])


def text_of_response(response):
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


def warning_of(answer):
    return (answer.get("engram") or {}).get("warning")


def input_tokens(used):
    """Of Anthropic's usage, which counts what was reused apart."""
    return used["input_tokens"] + (used.get("cache_read_input_tokens") or 0) + (used.get("cache_creation_input_tokens") or 0)


OVER = ("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED")


def text_of_parts(one):
    """Of an artifact, or a message."""
    return "".join(part.get("text", "") for part in one["parts"])


ASK = {"openai": Client.ask_openai, "anthropic": Client.ask_anthropic, "responses": Client.ask_responses}

# How often each is chosen, relative to the others.
OPERATIONS = {
    "create": 6, "turn": 14, "streamed_turn": 10, "cancelled_turn": 5, "run_of_agent": 4, "mcp_of_agent": 4, "chat_of_agent": 5, "batch": 4,
    "delegate": 4, "a2a_of_agent": 6, "workflow": 5, "fork": 4, "rename": 2, "delete": 2, "copy_as_file": 3, "damaged_file": 2, "memory": 8,
    "look": 4, "bad_request": 5, "openai": 9, "anthropic": 9, "responses": 9, "cancelled_chat": 5,
}


def as_messages(messages):
    return [{"role": role, "content": content} for role, content in messages]


def chat_body(turn):
    """A turn's body in the words of chat completions."""
    return {"model": "engram-nano", "messages": as_messages([("user", turn["prompt"])]), "max_tokens": turn["max_tokens"],
            "temperature": 0}
