"""Whole conversations for training: segments drawn one after the other until the wanted length is reached."""
import json
import random
from pathlib import Path

import roles
import small_talk
from facts import UPDATED, Subjects, acknowledge, ask, dont_know, statement, tell_several, tell_update
from lexicon import USUALLY_BACKWARD, Lexicon
from tool_use import NO_TOOL, draw_tools

SUMMARY = ["List what I told you.", "Please list all facts.", "Summarise what I told you so far.", "What do you remember?", "Give me a list of everything that I told you.",
           "Sum up the facts.", "What have I told you so far?", "Write down everything you know.", "Which things did I tell you?", "Make a list of my facts.",
           "Give me an overview.", "Repeat all that you have noted.", "Tell me everything that you remember.", "Collect what you know."]
SUMMARY_HELD_OUT = ["Please give me a summary of the facts.", "Which facts do you remember?", "Go through all that I told you."]
MOSTLY_BACKWARD = 0.75  # where that is the focus
FAVOURED = ["unknown", "update", "summary", "role", "delegate", "tool", "no tool", "tell"]
RAMBLES, RAMBLING_PROMPTS = 0.4, 0.12  # share of what is outside, and of system prompts without a role, that mean nothing
NOTHING = "You have not told me anything yet."
CHARS_PER_TOKEN = 3.9  # of such conversations; a little above what is measured, so that they are rather too long


def template():
    import jinja2  # here, so that the rest runs with nothing but Python

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string((Path(__file__).parent / "chat_template.jinja").read_text())


class Conversation:
    """Messages, and what is true in them. `told` holds the facts in the order in which they were first told; keys that are `taken` are neither
    told nor asked for here."""

    def __init__(self, lexicon, role=None, tools=(), n_subjects=6):
        self.lexicon = lexicon
        self.subjects = Subjects(lexicon, n_subjects)
        self.told = {}
        self.taken = set()
        self.unknown = set()  # keys that were asked for before anything was told of them
        self.kinds = {}
        self.n_asked = {}
        self.role = role
        self.tools = list(tools)
        self.messages = []
        self.n_chars = 0
        if role:
            self.say("system", roles.system_prompt(lexicon, role))

    def say(self, role, content, **more):
        self.messages.append({"role": role, "content": content, **more})
        self.n_chars += len(content) + 20

    def exchange(self, question, answer):
        self.say("user", question)
        self.say("assistant", answer)

    def schemas(self):
        return [tool.schema() for tool in self.tools]

    # --- facts ---

    def unused_key(self):
        """(key, kind) that nothing was told about, as near as possible to what was; None when there is none left."""
        for _ in range(30):
            key, kind = self.subjects.draw()
            if key not in self.told and key not in self.taken:
                return key, kind
        return None

    def tell_facts(self, n, echo):
        facts = []
        for _ in range(n):
            drawn = self.unused_key()
            if drawn:
                key, kind = drawn
                self.told[key], self.kinds[key] = self.lexicon.value(kind), kind
                facts.append((key, self.told[key]))
        if facts:
            self.exchange(tell_several(self.lexicon, facts), acknowledge(self.lexicon, facts, echo))
        return facts

    def update_fact(self, key, echo):
        old = self.told[key]
        while self.told[key] == old:
            self.told[key] = self.lexicon.value(self.kinds[key])
        self.n_asked[key] = 0
        self.exchange(tell_update(self.lexicon, key, self.told[key]), acknowledge(self.lexicon, [(key, self.told[key])], echo, UPDATED))
        return old

    def ask_fact(self):
        """Asks for what was told, rather for what was not asked before: then the answer must come from where it was told."""
        keys = list(self.told)
        key = self.lexicon.random.choices(keys, [0.2 ** self.n_asked.get(key, 0) for key in keys])[0]
        self.n_asked[key] = self.n_asked.get(key, 0) + 1
        self.exchange(ask(self.lexicon, key), statement(key, self.told[key]))

    def ask_unknown(self):
        drawn = self.unused_key()
        if drawn:
            self.unknown.add(drawn[0])
            self.exchange(ask(self.lexicon, drawn[0]), dont_know(drawn[0]))

    def summary(self):
        facts = "\n".join(f"- {statement(key, value)}" for key, value in self.told.items())
        return facts or NOTHING

    def report(self, n_sentences):
        self.exchange(small_talk.report(self.lexicon, n_sentences), self.lexicon.choice(small_talk.REPORT_ANSWERS))

    # --- tools ---

    def use_tool(self, tool):
        request, arguments = tool.request()
        result, said, _ = tool.result()
        self.say("user", request)
        self.say("assistant", "", tool_calls=[{"type": "function", "function": {"name": tool.name, "arguments": arguments}}])
        self.n_chars += 60
        self.say("tool", result)
        self.say("assistant", said)


def segment(conversation, favoured=None):
    """Adds one random segment; the favoured kind more often than others."""
    c, lexicon = conversation, conversation.lexicon
    random_ = lexicon.random
    kinds = [("tell", 6), ("ask", 8), ("unknown", 2.5), ("update", 5), ("report", 1.5), ("chat", 1), ("outside", 0.8)]
    if len(c.told) <= 10:
        kinds.append(("summary", 1.6))
    if c.role:
        kinds.append(("role", 3))
        if c.role.colleagues:
            kinds.append(("delegate", 5))
    if c.tools:
        kinds.append(("tool", 5))
        kinds.append(("no tool", 2))
    kind = random_.choices([name for name, _ in kinds], [weight * (4 if name == favoured else 1) for name, weight in kinds])[0]
    if kind == "tell":
        c.tell_facts(random_.choice((1, 1, 2, 3)), lexicon.chance(0.2))
    elif kind == "ask" and c.told:
        for _ in range(random_.randint(1, 3)):
            c.ask_fact()
    elif kind == "unknown":
        c.ask_unknown()
    elif kind == "update" and c.told:
        key = lexicon.choice(list(c.told))
        c.update_fact(key, lexicon.chance(0.2))
        if lexicon.chance(0.6):
            if lexicon.chance(0.4):
                c.report(random_.randint(1, 4))
            c.exchange(ask(lexicon, key), statement(key, c.told[key]))
    elif kind == "report":
        c.report(random_.randint(1, 8))
    elif kind == "chat":
        questions, answers = lexicon.choice(small_talk.CHAT)
        c.exchange(lexicon.choice(questions), lexicon.choice(answers))
    elif kind == "outside":
        odd = not lexicon.held_out and lexicon.chance(RAMBLES)
        c.exchange(small_talk.ramble(lexicon) if odd else small_talk.outside(lexicon), small_talk.OUTSIDE_ANSWERS[0])
    elif kind == "summary":
        c.exchange(lexicon.choice(SUMMARY), c.summary())
    elif kind == "role":
        c.exchange(*roles.ask_role(lexicon, c.role, lexicon.choice(("who", "who", "view", "tempt"))))
    elif kind == "delegate":
        question, answer, _ = roles.delegate(lexicon, c.role)
        c.exchange(question, answer)
    elif kind == "tool":
        c.use_tool(lexicon.choice(c.tools))
    elif kind == "no tool":
        tool = draw_tools(lexicon, 1)[0]
        if tool.noun not in [other.noun for other in c.tools]:
            c.exchange(tool.request()[0], NO_TOOL)


def draw_conversation(seed, n_tokens, held_out=False, focus=None):
    """A conversation of at least about n_tokens tokens; held_out: of words that training never sees; focus: a kind of segment that comes often
    ("tool" with two tools or more)."""
    random_ = random.Random(seed)
    lexicon = Lexicon(random_, held_out, MOSTLY_BACKWARD if focus == "backward" else USUALLY_BACKWARD)
    role = None
    if lexicon.chance(0.6):
        role = roles.draw_role(lexicon)
        if role.kind == "coordinator" or lexicon.chance(0.3):
            roles.add_colleagues(lexicon, role)
    tools = []
    if focus == "tool" or lexicon.chance(0.4):
        tools = draw_tools(lexicon, random_.randint(2 if focus == "tool" else 1, 4 if n_tokens > 400 else 2))
    conversation = Conversation(lexicon, role, tools, n_subjects=random_.randint(3, max(12, n_tokens // 150)))
    conversation.n_chars += len(json.dumps(conversation.schemas()))
    if not role and not held_out and lexicon.chance(RAMBLING_PROMPTS):
        conversation.say("system", small_talk.ramble(lexicon))
    long_reports = not focus and lexicon.chance(0.4 if n_tokens > 700 else 0.1)
    favoured = focus or (lexicon.choice(FAVOURED) if lexicon.chance(0.4) else None)
    while not conversation.messages or conversation.n_chars < n_tokens * CHARS_PER_TOKEN:
        if long_reports and lexicon.chance(0.25):
            conversation.report(random_.randint(8, 25))
        segment(conversation, favoured)
    return conversation
