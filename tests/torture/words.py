"""Sentences that the embedded model knows, so that its answers mean something, and words that nobody says by chance."""

SYLLABLES = ("za", "ri", "mo", "be", "lu", "tak", "fi", "gor", "du", "sel", "ka", "nov", "pim", "hex", "wo", "jun", "tef", "yar")
ROLES = ("You are Ada, the technical agent.", "You are Ben, the business analyst.", "You are Cleo, the coordinator.",
         "You answer briefly.")
FILLER = ("The meeting is on Monday.", "The office is closed on Friday.", "The report is in the second folder.",
          "The printer on the third floor works again.", "The budget has been approved.", "Nobody called in the morning.",
          "The river is low this year.", "Lunch is at noon.")
ATTRIBUTES = ("access code", "port", "deadline", "owner")
THINGS = ("server Kestrel", "server Heron", "project Lantern", "project Quarry")


def code_word(draw):
    """Of different syllables: a small model that goes round in circles over one of its own (zahexhexhexhex…) spells nobody else's."""
    return "".join(draw.sample(SYLLABLES, 4))


def filler(draw, sentences):
    return " ".join(draw.choice(FILLER) for _ in range(sentences))


def telling(draw, word, sentences):
    text = draw.choice((f"My code word is {word}.", f"The {draw.choice(ATTRIBUTES)} for {draw.choice(THINGS)} is {word}."))
    return f"{text} {filler(draw, sentences)}" if sentences else text


def question(draw):
    return draw.choice(("What is my code word?", f"What is the {draw.choice(ATTRIBUTES)} for {draw.choice(THINGS)}?",
                        f"{draw.choice(FILLER)} What did I tell you?"))
