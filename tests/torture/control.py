"""The same turns again, on a server that nothing happens to, with a home of its own: its answers are what the tortured one's should be.

Where KV was lost and computed again, or lies elsewhere in the context, sums are formed in another order, and a logit is a little off
(docs/adr/0005). So an answer may leave the control's at a token that the control itself found nearly as good as its own: within
NEAR_TIE nats. That is counted, shown, and not wrong. Any other difference is.
"""
import math
import time

import wire
from clients import Asked, as_messages, chat_body, input_tokens, text_of_response
from oracle import NO, same_text

NEAR_TIE = 0.25
OUT_OF_TIME = "not compared: the time was over"
END_OF_TURN = "<|im_end|>"  # of the model that is tortured


class Control:
    def __init__(self, server, record, seconds=math.inf):
        self.server, self.record = server, record
        self.end = time.monotonic() + seconds
        self.compared, self.left_out, self.made = set(), set(), 0

    def in_time(self, turns):
        """Whether there is time for these turns; those for which there isn't are counted, each once, however many copies have it."""
        if time.monotonic() < self.end:
            return True
        self.left_out |= {id(turn) for turn in turns} - self.compared
        self.record.compared[OUT_OF_TIME] = len(self.left_out)
        return False

    def call(self, method, path, body=None, headers=()):
        return wire.done(self.server.port, method, path, body, headers)

    def name(self):
        self.made += 1
        return f"k{self.made}"

    # --- agents ---

    def replay(self, agent):
        """All turns of an agent, until they part from the control's."""
        if all(id(turn) in self.compared for turn in agent.turns):
            return
        if any(turn.foreign != NO for turn in agent.turns):
            self.record.compared["not compared: another model had a part in it"] += len(agent.turns)
            return
        if not self.in_time(agent.turns):
            return
        name = self.name()
        self.call("POST", "/v1/agents", {"id": name, "system_prompt": agent.system})
        for at, turn in enumerate(agent.turns):
            if not self.in_time(agent.turns[at:]):
                break
            if turn.how == "given":  # it says what another agent has answered
                self.leave_out("not compared: work that was given, and what came after it", agent.turns[at:])
                break
            before = self.name()
            self.call("POST", f"/v1/agents/{name}/fork", {"id": before})
            same = self.replay_turn(agent, turn, name, before)
            self.call("DELETE", f"/v1/agents/{before}")
            if not same:
                self.leave_out("not compared after that", agent.turns[at + 1:])
                break
        self.call("DELETE", f"/v1/agents/{name}")

    def leave_out(self, why, turns):
        """Each turn once, however many copies have it."""
        turns = {id(turn) for turn in turns} - self.compared
        if turns:
            self.record.compared[why] += len(turns)
        self.compared |= turns

    def replay_turn(self, agent, turn, name, before):
        most = turn.max_tokens
        if turn.cut:  # how far had it come? As many tokens as the agent has, less those of the prompt
            _, prompt_tokens = self.ask(turn, self.copy(before), 0 if turn.how == "turn" else 1)
            most = turn.tokens_after - prompt_tokens
            if most <= 0 or most > turn.max_tokens:
                self.record.finding("wrong", f"{agent.name}: a turn that was cut has {most} tokens of at most {turn.max_tokens}")
                return False
        answer, _ = self.ask(turn, name, most)
        return self.judge(f"{agent.name}: {turn.prompt!r}", turn, turn.answer, answer,
                          lambda: self.logprobs(chat_body({"prompt": turn.prompt, "max_tokens": turn.max_tokens}),
                                                {"x-engram-agent": before}))

    def copy(self, of):
        name = self.name()
        self.call("POST", f"/v1/agents/{of}/fork", {"id": name})
        return name

    def ask(self, turn, name, most):
        """Answer and tokens of the prompt, through the door that the turn came through."""
        body = {"prompt": turn.prompt, "max_tokens": most, "temperature": 0}
        if turn.how == "chat":
            answer = self.call("POST", "/v1/chat/completions", chat_body(body), {"x-engram-agent": name}).json()
            return answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]
        answer = self.call("POST", f"/v1/agents/{name}/{turn.how}", body).json()
        return answer["answer"], answer["usage"]["prompt_tokens"] if turn.how == "run" else answer["prompt_tokens"]

    # --- conversations ---

    def replay_conversation(self, talk):
        for at, request in enumerate(talk.requests):
            if not self.in_time(talk.requests[at:]):
                break
            messages, most, said, prompt_tokens = request
            body = Asked(messages, most, streams=False).body()
            if talk.protocol == "openai":
                reply = self.call("POST", "/v1/chat/completions", body).json()
                answer, read = reply["choices"][0]["message"]["content"], reply["usage"]["prompt_tokens"]
            elif talk.protocol == "responses":  # whole: answers that part from the control's are not in what it has stored
                reply = self.call("POST", "/v1/responses", {"model": "engram-nano", "input": as_messages(messages), "store": False,
                                                            "max_output_tokens": most, "temperature": 0}).json()
                answer, read = text_of_response(reply), reply["usage"]["input_tokens"]
            else:
                reply = self.call("POST", "/v1/messages", body, {"anthropic-version": "2023-06-01"}).json()
                answer, read = "".join(part["text"] for part in reply["content"]), input_tokens(reply["usage"])
            # An answer that was not kept is read as text, whose tokens may be others than those that were said, and as many.
            if read != prompt_tokens:
                self.record.compared["not compared: other tokens of the same text"] += 1
                continue
            self.judge(f"{talk.protocol} conversation {talk.home}: {messages!r}", request, said, answer,
                       lambda: self.logprobs(body, {"x-engram-agent": self.name()}))

    # --- the comparison ---

    def judge(self, what, key, said, control, logprobs):
        """Whether the answers are the same, or part at a near tie; each turn counts once, however many copies have it."""
        known, _ = id(key) in self.compared, self.compared.add(id(key))
        if same_text(said, control):
            self.record.compared["equal to the control's"] += not known
            return True
        tokens = logprobs()
        # Read once more, the control itself may have come down on the other side.
        gap = min((gap for gap in (gap_at_parting(said, tokens), gap_at_parting(control, tokens)) if gap is not None), default=None)
        if gap is not None and gap <= NEAR_TIE:
            if not known:
                self.record.compared["parted at a near tie"] += 1
                self.record.near_ties.append({"what": what, "answer": said, "control": control, "nats": round(gap, 3)})
        elif not known:
            self.record.compared["wrong"] += 1
            self.record.finding("wrong", f"{what}: the answer is {said!r}, the control's {control!r}; "
                                         f"{'not among its alternatives' if gap is None else f'{gap:.2f} nats'} where they part")
        return False

    def logprobs(self, body, headers):
        """The control's answer with the most probable tokens at each place; it isn't allowed to end its turn, so that what stood against
        the end is seen too."""
        [end] = self.call("POST", "/v1/tokenize", {"text": END_OF_TURN}).json()["tokens"]
        body = {**body, "logprobs": True, "top_logprobs": 20, "logit_bias": {str(end): -100}}
        answer = self.call("POST", "/v1/chat/completions", body, headers).json()
        content = (answer["choices"][0].get("logprobs") or {}).get("content") or []
        return [(piece_of(token), token["logprob"], [(piece_of(other), other["logprob"]) for other in token["top_logprobs"]])
                for token in content]


def piece_of(token):
    return bytes(token["bytes"] or [])


def gap_at_parting(said, tokens):
    """How much less probable than its own choice the control found the token at which `said` leaves its answer; None: it isn't among
    those that it names, or `said` doesn't leave. Tokens are (bytes, logprob, [(bytes, logprob) of the alternatives]); where the end of the
    turn was the control's choice, they go on with what it would have said.

    Texts may part later than tokens do: one took " that" where the other took " " and then "I". So every alternative that spells what
    was said counts, up to where the texts part."""
    said, text, gaps = said.lstrip().encode(), b"", []
    for piece, logprob, alternatives in tokens:
        choice, known = choices(piece, logprob, alternatives)
        gaps += [known[choice] - value for taken, value in known.items() if taken != choice and continues(said, text, taken)]
        if piece != choice or not continues(said, text, piece):
            return min(gaps, default=None)
        text += piece
    return None if trimmed(text) == trimmed(said) else min(gaps, default=None)


def choices(piece, logprob, alternatives):
    """The most probable one, and all with their log probabilities."""
    known = {piece: logprob}
    for other, value in alternatives:
        known[other] = max(value, known.get(other, value))
    return max(known, key=known.get), known


def continues(said, text, piece):
    """`said`, which may have lost the spaces at its end, goes on with this token after that text, or ends where it stands for the end of
    the turn, which is no text."""
    if piece == b"" or piece.startswith(b"<|"):
        return trimmed(text) == trimmed(said)
    longer = (text + piece).lstrip()
    return said.startswith(longer) or (longer.startswith(said) and trimmed(longer) == trimmed(said))


def trimmed(text):
    return text.strip()
