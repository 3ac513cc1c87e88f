"""Tools: a schema, a request that needs it, the call with its arguments copied from the request, a result and what it says."""
import json

from facts import capital
from lexicon import DAYS

VERBS = {  # verb as in a tool's name -> how people ask for it
    "get": ["get", "show me", "give me"], "find": ["find", "look for", "search for"], "create": ["create", "make", "set up"], "book": ["book", "reserve"],
    "send": ["send", "send out"], "cancel": ["cancel", "call off"], "check": ["check", "have a look at"], "update": ["update", "change"],
    "order": ["order", "buy"], "delete": ["delete", "remove"], "print": ["print", "print out"], "start": ["start", "launch"], "stop": ["stop", "switch off"],
    "move": ["move", "shift"], "count": ["count", "add up"], "open": ["open", "open up"], "plan": ["plan", "arrange"], "read": ["read", "read out"],
}
NOUNS = """
weather forecast table room flight train ticket meeting reminder invoice report email message parcel taxi doctor hotel calendar file folder backup
server light heating door alarm camera printer contact customer order price stock budget note task song film recipe map route bus car bike
account payment refund password user group channel page link photo video form survey vote test build release branch log
lamp fridge sensor pump shelf crate badge visa passport permit license coupon menu
""".split()
NOUNS_HELD_OUT = 13

# kind -> names of the parameter, type, description, phrases in a request
PARAMETERS = {
    "place": (["city", "place", "location", "town"], "string", "Name of the {name}", ["in {value}", "near {value}", "at {value}"]),
    "date": (["date", "day", "when"], "string", "The {name} as text", ["on {value}", "for {value}"]),
    "person": (["person", "name", "recipient", "employee"], "string", "Full name of the {name}", ["for {value}", "with {value}", "of {value}"]),
    "number": (["count", "amount", "quantity", "number"], "integer", "The {name}", ["with {name} {value}", "and the {name} is {value}", "with a {name} of {value}"]),
    "code": (["code", "reference", "id", "key"], "string", "The {name} of it", ["with the {name} {value}", "with {name} {value}", "and use {value} as {name}"]),
    "text": (["text", "title", "subject", "comment"], "string", "The {name} to use", ["with the {name} '{value}'", "saying '{value}'", "and the {name} '{value}'"]),
}
REQUEST_OPENINGS = ["", "", "Please ", "Could you ", "Can you ", "I want you to ", "Now ", "Would you ",
                    "I would like you to ", "We have to ", "Next, ", "Quickly ", "It would help to ", "You may ", "Let us ", "Then "]
REQUEST_OPENINGS_HELD_OUT = ["", "Please ", "I need you to ", "Kindly "]
RESULT_KEYS = ["status", "total", "state", "number", "time", "level", "result", "place", "owner", "price", "reference", "position"]
STATES = "ok done ready open closed full empty late active paused new old warm cold".split()
ERRORS = ["not found", "no connection", "access denied", "out of stock", "the service is closed", "too many requests", "the name is unknown"]
ERRORS_HELD_OUT = ["the door is locked", "no such entry", "time is over"]


class Tool:
    """A function tool with one to three parameters."""

    def __init__(self, lexicon):
        self.lexicon = lexicon
        random = lexicon.random
        nouns = NOUNS[-NOUNS_HELD_OUT:] if lexicon.held_out else NOUNS[:-NOUNS_HELD_OUT]
        self.noun = lexicon.word(capital=False) if lexicon.invents(0.6) else lexicon.choice(nouns)
        self.verb = lexicon.choice(list(VERBS))
        self.name = f"{self.verb}_{self.noun}"
        kinds = random.sample(list(PARAMETERS), random.randint(1, 3))
        self.parameters = [(kind, lexicon.choice(PARAMETERS[kind][0])) for kind in kinds]

    def schema(self):
        properties = {name: {"type": PARAMETERS[kind][1], "description": PARAMETERS[kind][2].format(name=name)} for kind, name in self.parameters}
        return {"type": "function", "function": {
            "name": self.name, "description": f"{capital(self.verb)} the {self.noun}",
            "parameters": {"type": "object", "properties": properties, "required": [name for _, name in self.parameters]}}}

    def _value(self, kind):
        lexicon = self.lexicon
        if kind == "number":
            return lexicon.random.randint(1, 9999 if lexicon.chance(0.3) else 99)
        if kind == "text":
            things = [lexicon.thing() for _ in range(lexicon.random.randint(1, 3))]
            if lexicon.invents(0.3):
                things += things[-1:]  # a word that comes twice must not come for ever
            return " ".join([capital(lexicon.adjective())] + things)
        if kind == "date" and lexicon.chance(0.4):
            return lexicon.choice(DAYS + ["today", "tomorrow"])
        if kind == "code":
            return lexicon.letters(3, 5) + (str(lexicon.random.randint(1, 99)) if lexicon.chance(0.5) else "")
        return lexicon.value(kind)

    def request(self):
        """(request, arguments)"""
        lexicon = self.lexicon
        arguments, phrases = {}, []
        for kind, name in self.parameters:
            arguments[name] = self._value(kind)
            phrases.append(lexicon.choice(PARAMETERS[kind][3]).format(name=name, value=arguments[name]))
        if lexicon.chance(0.3):
            lexicon.random.shuffle(phrases)
        opening = lexicon.choice(REQUEST_OPENINGS_HELD_OUT if lexicon.held_out else REQUEST_OPENINGS)
        if lexicon.invents(0.15):
            opening = lexicon.fillers(1, 4) + " "
        end = "?" if opening.startswith(("Could", "Can", "Would")) else "."
        return capital(f"{opening}{lexicon.choice(VERBS[self.verb])} the {self.noun} {' '.join(phrases)}{end}"), arguments

    def result(self):
        """(result as JSON text, what the agent says of it, the values that must be in it)"""
        lexicon = self.lexicon
        random = lexicon.random
        if lexicon.chance(0.15):
            error = lexicon.choice(ERRORS_HELD_OUT if lexicon.held_out else ERRORS)
            if lexicon.invents(0.5):
                error = f"the {lexicon.thing()} are {lexicon.adjective()}"
            return json.dumps({"error": error}), f"That did not work: {error}.", [error]
        keys = random.sample(RESULT_KEYS, random.randint(1, 3))
        values = {}
        for key in keys:
            values[key] = lexicon.choice((lambda: random.randint(1, 9999), lambda: lexicon.choice(STATES), lexicon.letters, lexicon.place, lexicon.person))()
        said = [f"the {key} is {value}" for key, value in values.items()]
        text = said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
        return json.dumps(values), f"I used {self.name}: {text}.", [str(value) for value in values.values()]


def draw_tools(lexicon, n):
    tools = []
    while len(tools) < n:
        tool = Tool(lexicon)
        if tool.name not in [other.name for other in tools]:
            tools.append(tool)
    return tools


NO_TOOL = "I have no tool for that."
