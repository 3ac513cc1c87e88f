"""What must be there: kept outside of the process that is killed, and compared with what it says when nothing is under way.

The rules (docs/TORTURE.md has them in words):
- A turn whose answer was handed out is in the transcript, word for word, in its place. Nothing else is.
- What nobody heard the end of (the connection broke, the client left) is there whole or not at all; what was heard of its answer is how
  that answer begins.
- An answer with the warning that it was not committed is not there.
- Agents that were deleted or renamed away don't come back; what was never acknowledged may have happened or not.
- A word that was told to one agent in confidence is heard from nobody else, unless it is its copy.
"""
import dataclasses
import threading
import time


YES, NO, MAYBE = "yes", "no", "maybe"


@dataclasses.dataclass
class Turn:
    prompt: str
    answer: str
    how: str  # "turn", "chat" or "run": which of the server's doors it came through; "given": work for a colleague, no turn of a model
    max_tokens: int
    tokens_after: int | None = None  # of the agent; None: nobody has looked
    cut: bool = False  # its client left in the middle: the answer is how far it had come
    foreign: str = NO  # whether another model has said it: then there is nothing to compare it with
    heard_at: float = dataclasses.field(default_factory=time.monotonic)


@dataclasses.dataclass
class Pending:
    """A turn of which the end was not heard."""
    prompt: str
    how: str
    max_tokens: int
    heard: str = ""
    work: "Work | None" = None


@dataclasses.dataclass
class Work:
    """What goes on when its client has left, and says itself what came of it."""
    kind: str  # "task" of A2A, "workflow"
    key: str  # the client's own: the message's id, the workflow's name
    node: str = ""  # of a workflow


@dataclasses.dataclass
class Agent:
    name: str
    tenant: str
    system: str
    secrets: frozenset = frozenset()
    turns: list = dataclasses.field(default_factory=list)
    there: str = YES
    pending: Pending | None = None
    was_there: bool = True  # before what made it a MAYBE
    renamed_from: "Agent | None" = None  # while it isn't known under which of the two names it is
    gives: bool = False  # it may have colleagues, and so a tool that the control's agent hasn't

    @property
    def settled(self):
        return self.there != MAYBE and self.pending is None

    @property
    def tokens(self):
        return (self.turns[-1].tokens_after or 0) if self.turns else 0

    @property
    def newest(self):
        """When its last answer was heard."""
        return self.turns[-1].heard_at if self.turns else 0.0

    def messages(self):
        return [message for turn in self.turns for message in (("user", turn.prompt), ("assistant", turn.answer))]


@dataclasses.dataclass
class Seen:
    """An agent as the server shows it."""
    messages: list  # (role, content)
    turns: int
    tokens: int


def same_text(a, b):
    """Protocols may trim the ends of a text."""
    return a.strip() == b.strip()


def settle(agent, seen):
    """Compares an agent with what the server shows (None: it isn't there), takes over what was open; returns complaints."""
    was, agent.there = agent.there, NO if seen is None else YES
    pending, agent.pending = agent.pending, None
    if seen is None:
        return [f"lost: agent {agent.name} is gone, with {len(agent.turns)} turns"] if was == YES else []
    complaints = [f"came back: agent {agent.name} had been deleted"] if was == NO else []
    expected = agent.messages()
    for i, (role, content) in enumerate(expected):
        if i >= len(seen.messages):
            return complaints + [f"lost: agent {agent.name} has {len(seen.messages)} of {len(expected)} messages"]
        if seen.messages[i][0] != role or not same_text(seen.messages[i][1], content):
            return complaints + [f"wrong: agent {agent.name}, message {i} is {seen.messages[i]!r}, not {(role, content)!r}"]
    rest = seen.messages[len(expected):]
    if rest:
        if not is_whole(rest, pending):
            return complaints + [f"wrong: agent {agent.name} has {rest!r} after what is known, pending was {pending!r}"]
        agent.turns.append(Turn(pending.prompt, rest[1][1], pending.how, pending.max_tokens, cut=True))
    turns = sum(turn.how != "given" for turn in agent.turns)
    if seen.turns != turns:
        complaints.append(f"wrong: agent {agent.name} counts {seen.turns} turns, and has {turns}")
    if agent.turns:
        last = agent.turns[-1]
        if last.tokens_after is not None and last.tokens_after != seen.tokens:
            complaints.append(f"wrong: agent {agent.name} has {seen.tokens} tokens, not {last.tokens_after}")
        last.tokens_after = seen.tokens
    return complaints


def is_whole(rest, pending):
    """One turn, of which nobody heard the end: its question, and an answer that begins with what was heard."""
    return (pending is not None and len(rest) == 2 and rest[0][0] == "user" and same_text(rest[0][1], pending.prompt)
            and rest[1][0] == "assistant" and rest[1][1].lstrip().startswith(pending.heard.strip()))


@dataclasses.dataclass
class Conversation:
    """Of a client that sends everything each time, or names the response that it goes on from. `said` is all messages and answers."""
    protocol: str  # "openai", "anthropic", "responses"
    tenant: str
    secrets: frozenset
    said: list = dataclasses.field(default_factory=list)  # (role, content)
    requests: list = dataclasses.field(default_factory=list)  # for the control: (messages, max_tokens, answer, tokens of the prompt)
    home: str = ""  # the conversation's id, as the server gave it with the last acknowledged answer
    committed: bool = False  # it is sure that the server has said it would keep that answer
    retold: bool = False  # an answer was not committed: what follows was read as text, maybe other tokens than those said
    response: str = ""  # Responses: the id of the last acknowledged answer, which the next request goes on from
    newest: float = 0.0  # when the last answer was heard


def check_conversation(conversation, messages):
    """Complaints about what the server has of a conversation whose last answer it has acknowledged."""
    if messages is None:
        return [f"lost: conversation {conversation.home} is gone, with {len(conversation.said)} messages"]
    for i, (role, content) in enumerate(conversation.said):
        if i >= len(messages):
            return [f"lost: conversation {conversation.home} has {len(messages)} of {len(conversation.said)} messages"]
        if messages[i][0] != role or not same_text(messages[i][1], content):
            return [f"wrong: conversation {conversation.home}, message {i} is {messages[i]!r}, not {(role, content)!r}"]
    return []


def check_response(conversation, text):
    """Complaints about what the server shows of the last acknowledged response (None: it isn't there)."""
    role, answer = conversation.said[-1]
    if text is None:
        return [f"lost: response {conversation.response} of conversation {conversation.home} is gone"]
    return [] if same_text(text, answer) else [f"wrong: response {conversation.response} is {text!r}, not {(role, answer)!r}"]


class Secrets:
    """Words that nobody says by chance, and who may say them."""

    def __init__(self):
        self.words, self.lock = set(), threading.Lock()

    def plant(self, draw):
        from words import code_word
        with self.lock:
            while (word := code_word(draw)) in self.words:
                pass
            self.words.add(word)
            return word

    def leaked(self, text, allowed):
        """Those of all planted words that stand in the text and shouldn't."""
        with self.lock:
            planted = set(self.words)
        return sorted(word for word in planted - set(allowed) if word in text)
