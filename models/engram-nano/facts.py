"""Facts: what a user tells an agent and asks for later. One attribute of one subject has one value at a time.

The wordings marked HELD_OUT are used by the evaluation only.
"""
import copy
from dataclasses import dataclass

# kind of value -> (attribute, preposition before its subject)
ATTRIBUTES = {
    "code": ["code word|for", "access code|for", "password|for", "call sign|of", "door code|of", "recovery key|for", "serial code|of",
             "product code|of", "login code|for", "safe code|of"],
    "number": ["room number|of", "phone number|of", "budget|of", "order number|of", "seat count|of", "price|of", "invoice number|for",
               "team size|of", "weight|of", "port|of", "version number|of", "ticket number|for"],
    "person": ["owner|of", "lead|of", "contact|for", "reviewer|of", "manager|of", "sponsor|of", "author|of", "supplier|of"],
    "place": ["location|of", "meeting place|for", "main site|of", "head office|of", "storage place|of", "destination|of"],
    "date": ["deadline|for", "launch date|of", "review date|of", "opening date|of", "delivery date|of", "start date|of", "release date|of"],
    "decision": ["gift|for", "plan|for", "first choice|for", "decision|on", "agreed option|for", "theme|of"],
}
PERSONAL = {
    "code": ["code word", "secret word", "locker code", "badge code"],
    "number": ["room number", "shoe size", "desk number", "lucky number", "house number"],
    "name": ["name", "sister's name", "brother's name", "dog's name", "neighbour's name"],
    "place": ["home town", "favourite city", "birthplace"],
    "date": ["birthday", "wedding day", "first working day"],
    "colour": ["favourite colour", "car's colour"],
    "person": ["manager", "teacher", "dentist"],
    "day": ["day off", "favourite day"],
}


@dataclass(frozen=True)
class Key:
    """What a fact is about. An empty subject is the user: 'my code word'."""
    attribute: str
    preposition: str
    subject: str

    def asked(self):  # as the user says it
        return f"the {self.attribute} {self.preposition} {self.subject}" if self.subject else f"my {self.attribute}"

    def answered(self):  # as the agent says it
        return f"the {self.attribute} {self.preposition} {self.subject}" if self.subject else f"your {self.attribute}"


def capital(text):
    return text[:1].upper() + text[1:]


def statement(key, value):
    return f"{capital(key.answered())} is {value}."


TELL_OPENINGS = ["", "", "", "", "Please remember: ", "Remember that ", "Note this: ", "For the record, ", "By the way, ", "One more thing: ",
                 "Important: ", "Please note that ", "Keep in mind that ", "Here is a fact: ", "Just so you know, ", "I want you to know that ",
                 "Listen: ", "Now, ", "Also, ", "Please write down that "]
TELL_OPENINGS_HELD_OUT = ["", "Something to keep: ", "You should know that ", "Let me add that ", "Fact: "]
# A fact names its key and its value, in either order: a clause in front, and what stands between the two.
TELL_CLAUSES = ["", "", "", "", "I learned that ", "we agreed that ", "they told me that ", "it is clear that ", "somebody said that ", "as far as I know, ",
                "the list says that ", "I was told that ", "my notes say that ", "I can confirm that ", "everybody knows that ", "I have seen that ", "it was decided that "]
TELL_VERBS = ["is", "is", "is", "is", "was set to", "has been fixed as", "should be", "is going to be", "must be", "became", "shall be", "is supposed to be",
              "turned into", "equals", "remains", "stays", "has to be", "is known to be", "would best be", "is meant to be", "is called", "reads", "came to be", "is still"]
TELL_BACKWARD = ["{value} is {the}", "we have {value} as {the}", "we chose {value} as {the}", "they took {value} for {the}", "I wrote down {value} as {the}",
                 "the team picked {value} to be {the}", "everybody uses {value} as {the}", "somebody gave me {value} as {the}", "{value} becomes {the}",
                 "{value} serves as {the}", "they made {value} {the}", "I decided on {value} for {the}", "take {value} as {the}", "use {value} for {the}",
                 "you find {value} under {the}", "we went for {value} as {the}", "our choice was {value} as {the}", "I got {value} for {the}", "with {value} as {the} we go on"]
TELL_OTHER = ["{the}: {value}", "{the}, that is {value}", "{the} = {value}", "{the} ({value})", "{the} - {value}", "for {the} we have {value}", "as {the} we took {value}",
              "for {the} they chose {value}", "as to {the}, it is {value}", "when it comes to {the}, think of {value}"]
# Wordings are put together from these as well, so that it isn't a list that is learned.
TELL_MODALS = ["should", "must", "shall", "would", "could", "may", "might", "can", "needs to", "has to", "is going to", "ought to", "is bound to", "is about to", "seems to",
               "appears to", "is said to", "won't but", "is likely to", "had to"]
TELL_INFINITIVES = ["be", "be", "be", "be", "become", "remain", "stay", "read", "equal", "turn into", "be called"]
TELL_COPULAS = ["is", "is", "was", "has been", "had been", "got to be", "ends up as", "works out as", "comes out as", "stands at", "means", "goes by", "lies at", "amounts to", "ran to",
                "is put down as", "is listed as", "was given as", "is written as", "was found to be", "was agreed as", "went to", "is simply", "is really", "is surely", "belongs to", "'s",
                "is nothing but", "is none other than", "is the same as", "looks like", "gets"]
TELL_ADVERBS = ["again", "today", "as always", "of course", "indeed", "in fact", "this time", "at last", "for good", "exactly", "now", "then"]
TELL_WHO = ["we", "we", "we", "they", "I", "somebody", "the team", "everybody", "my boss", "the others", "people", "she", "he", "you", "both of us", "the office", "all"]
TELL_CHOSE = ["agreed on", "ended with", "went with", "voted for", "decided for", "landed on", "opted for", "fixed", "booked", "named", "listed", "have", "put down", "filed", "proposed",
              "accepted", "kept", "got", "marked", "entered", "confirmed", "approved", "suggested", "picked", "wanted", "found", "stick to", "stay with", "hold on to", "came to", "fell back on",
              "count on", "insist on", "rely on", "work with", "wrote", "noted", "chose", "selected", "set", "gave", "use", "see", "call", "made", "took", "told me", "were given", "was told"]
TELL_LINKS = ["as", "as", "as", "as", "for", "for", "to be", "being", "under", "when it comes to", "in the matter of", "where you asked for"]
TELL_CORES_HELD_OUT = ["{the} is {value}", "{the} will be {value}", "we settled on {value} as {the}", "it turns out that {the} is {value}"]
TELL_ENDINGS = ["", "", "", "", "", " Thanks.", " Please keep it in mind.", " Don't forget it.", " I will ask you later.", " Remember it well."]
TELL_ENDINGS_HELD_OUT = ["", "", " You will need it.", " Keep it safe."]

UPDATE_OPENINGS = ["Correction: ", "Update: ", "A change: ", "I was wrong: ", "News: ", "Please correct this: ", "This has changed: ", "Sorry, ", "", "",
                   "Scratch that: ", "Please change your notes: ", "There was a mistake: ", "It is different today: ", "Not any more: ", "A new message: ",
                   "I must correct myself: ", "Please replace this: ", "Another decision: ", "The plans are new: ", "What you know is old: ", "One thing is different: "]
UPDATE_OPENINGS_HELD_OUT = ["I have to change something: ", "There is a new state of things: ", "Forget what I said before: "]
UPDATE_CORES = ["{the} is now {value}", "{the} is {value} now", "{the} has changed to {value}", "from now on {the} is {value}", "{the} is {value}",
                "{the} became {value}", "make that {value} for {the}", "{the} should now be {value}", "they replaced {the} by {value}", "we now use {value} as {the}",
                "{the} is no longer that, but {value}", "take {value} for {the} from today", "{the} must be {value} from now on", "I changed {the} to {value}",
                "they changed {the}, and it is {value}", "{the} got changed: {value}", "{the} moved to {value}", "after a change {the} is {value}",
                "{the} is different, it is {value}", "{the} is not what it was: {value}", "they corrected {the}, so it is {value}", "today {the} is {value}",
                "{the} is {value} at present", "{the} has a new value, {value}", "{the} had to change, it became {value}", "we have a new answer: {the} is {value}"]
UPDATE_AUXILIARIES = ["was", "got", "has been", "had to be", "is being", "shall get", "just got", "has just been", "were", "needed to be"]
UPDATE_DONE = ["altered", "modified", "moved", "replaced", "revised", "corrected", "switched", "adapted", "edited", "renewed", "overruled", "amended", "swapped", "set anew", "exchanged",
               "dropped", "put right", "reviewed"]
UPDATE_JOINS = [" and", " and", ", so it", ", and it", ": it", ". It", ", it", " and so", " and then", ", which"]
UPDATE_COPULAS = ["is", "is", "is", "is now", "became", "reads", "equals", "stands at", "should be", "must be", "says", "was made", "turned into"]
UPDATE_CORES_HELD_OUT = ["{the} is now {value}", "{the} was changed and is {value}"]

ASKS = ["what is {the}?", "what is {the}?", "what was {the}?", "tell me {the}.", "do you remember {the}?", "I forgot {the}. What is it?", "can you tell me {the}?",
        "please remind me: what is {the}?", "do you know {the}?", "I need {the}.", "which is {the}?", "what did I tell you about {the}?",
        "give me {the}, please.", "say {the} again.", "what do your notes say about {the}?", "look into your notes for {the}.", "would you tell me {the}?",
        "please repeat {the}.", "can I have {the}?", "I want to hear {the}.", "help me out with {the}.", "let me know {the}.", "I should know {the}, but I don't.",
        "search your memory for {the}.", "has anyone told you {the}?", "I am looking for {the}.", "please find out {the}.", "what's {the}?", "remember {the}?", "{the}?", "{the}, please.",
        "do you still have {the}?", "can you look for {the}?", "see whether you have {the}.", "read me {the}.", "did I mention {the}?"]
ASKS_HELD_OUT = ["what is {the}?", "could you tell me {the} again?", "what did I say {the} was?", "I would like to know {the}.", "please look up {the}."]
ASK_OPENINGS = ["", "", "", "", "So, ", "Now, ", "Quick question: ", "And ", "Back to work: ", "Hello again. ", "By the way, ", "After all that, ", "Another thing: ",
                "I have a question: ", "Well, ", "Let me ask you: ", "Before we go on: ", "Last question for today: "]
ASK_OPENINGS_HELD_OUT = ["", "", "One question: ", "Before I go: "]

SCRAMBLED = 0.15  # share of wordings, in training, that are hardly more than the words that matter

NOTED = ["Noted.", "Noted.", "I will remember that.", "Got it.", "Thank you, I have noted it."]
UPDATED = ["Updated.", "Thank you, I have corrected it."]


class Subjects:
    """A conversation's own subjects and attributes: few enough that facts share an attribute or a subject with others."""

    def __init__(self, lexicon, n_subjects):
        self.lexicon = lexicon
        random = lexicon.random
        self.subjects = [self._subject() for _ in range(n_subjects)]
        kinds = list(ATTRIBUTES)
        self.attributes = [(kind, lexicon.choice(ATTRIBUTES[kind])) for kind in (lexicon.choice(kinds) for _ in range(random.randint(4, 14)))]

    def of(self, lexicon):
        """The same, drawn from with another lexicon."""
        same = copy.copy(self)
        same.lexicon = lexicon
        return same

    def _subject(self):
        lexicon = self.lexicon
        return lexicon.choice((
            lambda: f"project {lexicon.code_name()}", lambda: f"project {lexicon.code_name()}",
            lambda: f"team {lexicon.code_name()}", lambda: f"server {lexicon.code_name()}",
            lambda: f"the {lexicon.adjective()} {lexicon.choice(('office', 'warehouse', 'archive', 'workshop', 'garage', 'laboratory'))}",
            lexicon.person, lexicon.organisation, lambda: f"the {lexicon.place()} branch",
        ))()

    def draw(self):
        """(key, kind of its value)"""
        lexicon = self.lexicon
        if lexicon.chance(0.2):
            kind = lexicon.choice(list(PERSONAL))
            return Key(lexicon.choice(PERSONAL[kind]), "", ""), kind
        kind, attribute = lexicon.choice(self.attributes)
        name, preposition = attribute.split("|")
        return Key(name, preposition, lexicon.choice(self.subjects)), kind


def _pick(lexicon, train, held_out):
    return lexicon.choice(held_out if lexicon.held_out else train)


def _scrambled(lexicon, core):
    """`core` among words that mean nothing (training only)."""
    before = f"{lexicon.fillers(1, 5)}{lexicon.choice((' ', ' ', ': ', ', '))}" if lexicon.chance(0.8) else ""
    after = f"{lexicon.choice((' ', ', '))}{lexicon.fillers(1, 3)}" if lexicon.chance(0.4) else ""
    return before + core + after


def _sentence(opening, core, ending=""):
    text = opening + core
    if not text.endswith(("?", ".")):
        text += "."
    return capital(text) + ending


def _verb(lexicon):
    """What stands between a key and its value: a wording of the list, or one put together."""
    kind = lexicon.random.random()
    if kind < 0.45:
        return lexicon.choice(TELL_VERBS)
    if kind < 0.75:
        modal = lexicon.fillers(1, 1) if lexicon.chance(0.25) else lexicon.choice(TELL_MODALS)
        verb = f"{modal} {lexicon.choice(TELL_INFINITIVES)}"
    else:
        verb = lexicon.choice(TELL_COPULAS)
    return f"{verb} {lexicon.choice(TELL_ADVERBS)}" if lexicon.chance(0.25) else verb


def _backward(lexicon):
    """A core in which the value comes first."""
    kind = lexicon.random.random()
    if kind < 0.3:
        return lexicon.choice(TELL_BACKWARD)
    if kind < 0.45:
        return f"{{value}} {_verb(lexicon)} {{the}}"
    who = lexicon.first_name() if lexicon.chance(0.15) else lexicon.choice(TELL_WHO)
    if kind < 0.75:
        verb = lexicon.choice(TELL_CHOSE)
    else:
        verb = f"{lexicon.word(capital=False)} {lexicon.choice(('', 'on', 'for', 'with', 'to', 'up', 'in'))}".strip()
    return f"{who} {verb} {{value}} {lexicon.choice(TELL_LINKS)} {{the}}"


def _tell_core(lexicon):
    if lexicon.held_out:
        return lexicon.choice(TELL_CORES_HELD_OUT)
    kind = lexicon.random.random()
    if kind < 0.16:  # nothing but the two, among words that mean nothing
        between = lexicon.fillers(1, 4)
        return f"{{the}} {between} {{value}}" if lexicon.chance(0.5) else f"{lexicon.fillers(1, 2)} {{value}} {between} {{the}}"
    if kind < 0.23:
        return lexicon.choice(TELL_OTHER)
    core = _backward(lexicon) if lexicon.chance(lexicon.backward) else f"{{the}} {_verb(lexicon)} {{value}}"
    return core if core.startswith("{value}") else lexicon.choice(TELL_CLAUSES) + core


def tell(lexicon, key, value):
    """How a user tells a fact."""
    core = _tell_core(lexicon)
    if core.startswith("{value}") and value[0].islower():
        core = "{the} is {value}"  # a capital letter would change the value
    core = core.format(the=key.asked(), value=value)
    if lexicon.invents(SCRAMBLED):
        return capital(f"{lexicon.fillers(1, 5)}{lexicon.choice((' ', ': ', ', ', '. '))}{core}.") + (
            f" {capital(lexicon.fillers(2, 5))}." if lexicon.chance(0.3) else "")
    return _sentence(_pick(lexicon, TELL_OPENINGS, TELL_OPENINGS_HELD_OUT), core, _pick(lexicon, TELL_ENDINGS, TELL_ENDINGS_HELD_OUT))


def tell_several(lexicon, facts):
    """Some facts in one message."""
    if len(facts) == 1:
        return tell(lexicon, *facts[0])
    if len(facts) == 2 and lexicon.chance(0.5):
        (key, value), (key2, value2) = facts
        opening = _pick(lexicon, TELL_OPENINGS, TELL_OPENINGS_HELD_OUT)
        return _sentence(opening, f"{key.asked()} is {value} and {key2.asked()} is {value2}")
    return " ".join(tell(lexicon, *fact) for fact in facts)


def tell_update(lexicon, key, value):
    if lexicon.invents(0.3):  # told as any other fact: what comes later holds
        return _pick(lexicon, UPDATE_OPENINGS, UPDATE_OPENINGS_HELD_OUT) + tell(lexicon, key, value)
    core = _pick(lexicon, UPDATE_CORES, UPDATE_CORES_HELD_OUT)
    if lexicon.invents(0.3):
        core = f"{{the}} {lexicon.choice(UPDATE_AUXILIARIES)} {lexicon.choice(UPDATE_DONE)}{lexicon.choice(UPDATE_JOINS)} {lexicon.choice(UPDATE_COPULAS)} {{value}}"
    elif lexicon.invents(0.2):  # some words between the two, whichever they are
        core = f"{{the}} {_verb(lexicon)} {lexicon.fillers(1, 3)} {{value}}"
    core = core.format(the=key.asked(), value=value)
    if lexicon.invents(SCRAMBLED):
        return capital(f"{_scrambled(lexicon, core)}.")
    return _sentence(_pick(lexicon, UPDATE_OPENINGS, UPDATE_OPENINGS_HELD_OUT), core)


def ask(lexicon, key):
    if lexicon.invents(SCRAMBLED):
        return capital(_scrambled(lexicon, key.asked()) + lexicon.choice("?? .").strip())
    core = _pick(lexicon, ASKS, ASKS_HELD_OUT).format(the=key.asked())
    text = _sentence(_pick(lexicon, ASK_OPENINGS, ASK_OPENINGS_HELD_OUT), core)
    return text[:1].lower() + text[1:-1] if lexicon.invents(0.05) else text  # as people type


def dont_know(key):
    return f"{capital(key.answered())} is something that I don't know. You have not told me."


def acknowledge(lexicon, facts, echo, words=NOTED):
    said = lexicon.choice(words)
    return " ".join([said] + [statement(key, value) for key, value in facts]) if echo else said
