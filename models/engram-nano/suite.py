"""Writes the evaluation: conversations with names, values and wordings that training never sees, and questions about them.

usage: suite.py TOKENIZER OUT_FOLDER      writes suite.json (docs/EVAL.md describes the format), and tokens.json: texts and the
tokens that SentencePiece makes of them, for a test that the GGUF's tokenizer makes the same.
"""
import json
import random
import sys
from pathlib import Path

import roles
import small_talk
from conversations import SUMMARY_HELD_OUT, Conversation, draw_conversation
from corpus import Encoder
from facts import Subjects, ask
from lexicon import Lexicon
from tool_use import draw_tools

SEED = 987
ROLE_WORD = {"technical": "technical", "business": "business", "coordinator": "coordinator"}


class Suite:
    def __init__(self, encoder):
        self.encoder = encoder
        self.conversations = []

    def start(self, name, role=False, n_tools=0, colleagues=False):
        """A new conversation, whose draws depend on its name alone."""
        lexicon = Lexicon(random.Random(f"{SEED} {name}"), held_out=True)
        drawn = None
        if role or colleagues:
            drawn = roles.draw_role(lexicon)
            if colleagues:
                drawn.kind, drawn.role = "coordinator", "the coordinator"
                roles.add_colleagues(lexicon, drawn, 3, 5)
        conversation = Conversation(lexicon, drawn, draw_tools(lexicon, n_tools))
        self.conversations.append({"id": name, "conversation": conversation, "questions": []})
        return conversation

    def ask(self, task, content, expect, **more):
        self.conversations[-1]["questions"].append({"task": task, "content": content, **more, "expect": expect})

    def n_tokens(self, conversation):
        return len(self.encoder.tokenizer.encode(self.encoder.render(conversation))) if conversation.messages else 0

    def fill(self, conversation, n_tokens, n_facts):
        """Facts and reports in turn, until the conversation has n_tokens, or hardly fewer."""
        room = 60
        conversation.subjects = Subjects(conversation.lexicon, max(4, n_facts // 3))
        while (now := self.n_tokens(conversation)) < n_tokens - room:
            due = n_facts * now / n_tokens
            if len(conversation.told) > due or not conversation.tell_facts(1, echo=False):
                conversation.report(max(1, min(10, (n_tokens - now - room) // 16)))
        return conversation

    def document(self):
        return {"format": 1, "name": "engram-nano", "seed": SEED,
                "description": "Conversations about work with names, values and wordings that the model's training never sees.",
                "conversations": [self._entry(entry) for entry in self.conversations]}

    @staticmethod
    def _entry(entry):
        conversation = entry["conversation"]
        messages = []
        for message in conversation.messages:
            calls = [call["function"] for call in message.get("tool_calls", [])]
            messages.append({"role": message["role"], "content": message["content"], **({"tool_calls": calls} if calls else {})})
        tools = {"tools": conversation.schemas()} if conversation.tools else {}
        return {"id": entry["id"], **tools, "messages": messages, "questions": entry["questions"]}


def recall(suite):
    for n_tokens, n_conversations, n_facts, n_questions in ((500, 25, 8, 8), (4000, 8, 40, 25), (8000, 8, 60, 25)):
        for i in range(n_conversations):
            conversation = suite.fill(suite.start(f"recall-{n_tokens}-{i}", role=i % 2), n_tokens, n_facts)
            told = list(conversation.told.items())
            for key, value in conversation.lexicon.random.sample(told, min(n_questions, len(told))):
                suite.ask(f"recall at {n_tokens:,} tokens", ask(conversation.lexicon, key), {"contains": [value]})


def updates(suite):
    for i in range(25):
        conversation = suite.fill(suite.start(f"update-{i}"), 500, 8)
        lexicon = conversation.lexicon
        changed = lexicon.random.sample(list(conversation.told), min(4, len(conversation.told)))
        old = {}
        for key in changed:
            old[key] = conversation.update_fact(key, echo=False)
            conversation.report(lexicon.random.randint(1, 4))
        for key in changed:
            suite.ask("the later of two values", ask(lexicon, key), {"contains": [conversation.told[key]], "absent": [old[key]]})


def unknown(suite):
    words = ["don't know", "do not know", "not told", "haven't told", "didn't tell", "not been told", "have no information"]
    for i in range(25):
        conversation = suite.fill(suite.start(f"unknown-{i}", role=i % 2), 500, 8)
        for _ in range(4):
            drawn = conversation.unused_key()
            if drawn:
                suite.ask("never told: says so", ask(conversation.lexicon, drawn[0]), {"any_of": words})


def role(suite):
    for i in range(40):
        conversation = suite.fill(suite.start(f"role-{i}", role=True), 300, 3)
        mine = conversation.role
        word = ROLE_WORD.get(mine.kind, mine.role.split(" ", 1)[1])
        for what in ("who", "view", "tempt"):
            question, _ = roles.ask_role(conversation.lexicon, mine, what)
            expect = {"contains": [word] + ([mine.name] if what != "view" else [])}
            suite.ask("stays in its role", question, expect)


def tools(suite):
    for i in range(40):
        conversation = suite.start(f"tools-{i}", role=i % 2, n_tools=1 + i % 4)
        lexicon = conversation.lexicon
        facts = conversation.tell_facts(2, echo=False)
        for tool in conversation.tools[:3]:
            request, arguments = tool.request()
            suite.ask("calls the right tool", request, {"tool_call": {"name": tool.name, "arguments": arguments}}, max_tokens=128)
        key, value = facts[0]
        suite.ask("answers without a tool", ask(lexicon, key), {"no_tool_call": True, "contains": [value]})
        other = next(tool for tool in iter(lambda: draw_tools(lexicon, 1)[0], None) if tool.noun not in [mine.noun for mine in conversation.tools])
        suite.ask("answers without a tool", other.request()[0], {"no_tool_call": True, "any_of": ["no tool", "can't", "cannot", "not able"]})
    for i in range(100):
        conversation = suite.start(f"result-{i}", n_tools=1 + i % 4)
        tool = conversation.lexicon.choice(conversation.tools)
        request, arguments = tool.request()
        conversation.say("user", request)
        conversation.say("assistant", "", tool_calls=[{"type": "function", "function": {"name": tool.name, "arguments": arguments}}])
        result, _, values = tool.result()
        suite.ask("uses the tool's result", result, {"contains": values, "no_tool_call": True}, role="tool")


def delegation(suite):
    for i in range(40):
        conversation = suite.start(f"delegation-{i}", colleagues=True)
        conversation.report(3)
        names = [name for name, _, _ in conversation.role.colleagues]
        asked = set()
        while len(asked) < min(3, len(names)):
            question, _, name = roles.delegate(conversation.lexicon, conversation.role)
            if name in asked:
                continue
            asked.add(name)
            others = [other for other in names if other not in name and name not in other]
            suite.ask("names the right colleague", question, {"contains": [name], "absent": others})


def summaries(suite):
    for i in range(50):
        conversation = suite.fill(suite.start(f"summary-{i}", role=i % 2), 350, 1 + i % 8)
        suite.ask("summary of what was told", conversation.lexicon.choice(SUMMARY_HELD_OUT),
                  {"items": list(conversation.told.values()), "list_lines": True}, max_tokens=320)


def outside(suite):
    words = ["can't help", "cannot help", "can't do that", "not able to", "demonstration model"]
    for i in range(25):
        conversation = suite.start(f"outside-{i}", role=i % 2)
        conversation.tell_facts(2, echo=False)
        for _ in range(4):
            suite.ask("says that it can't", small_talk.outside(conversation.lexicon), {"any_of": words})


def token_samples(encoder):
    texts = [encoder.render(draw_conversation(seed, 300, held_out=True)) for seed in range(8)]
    texts += ["", " ", "  two  spaces ", "a\n\n\tb", "Łódź, 日本語, 😀", "12345.678", "KRWQZ-77 kRwQz", "<tool_call>\n{\"name\"", "<|im_end|>", "<|im_", "it's 'quoted'"]
    return [{"text": text, "tokens": encoder.tokenizer.encode(text)} for text in texts]


def write(path, document, indent):
    with open(path, "w") as file:
        json.dump(document, file, ensure_ascii=False, indent=indent)
        file.write("\n")


def main(tokenizer, folder):
    encoder = Encoder(tokenizer)
    suite = Suite(encoder)
    for part in (recall, updates, unknown, role, tools, delegation, summaries, outside):
        part(suite)
    write(Path(folder) / "suite.json", suite.document(), 0)
    write(Path(folder) / "tokens.json", token_samples(encoder), None)


if __name__ == "__main__":
    main(*sys.argv[1:])
