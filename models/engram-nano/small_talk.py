"""What stands between facts: reports to read, greetings, and questions that the model says it can't answer."""
from lexicon import DAYS, MONTHS

TEAMS = "office workshop warehouse laboratory kitchen garage archive hall studio harbour garden library station factory shop school".split()
DID = ["cleaned {n} boxes of {thing}", "moved {n} boxes of {thing}", "counted {n} boxes of {thing}", "ordered {n} boxes of {thing}", "painted {n} boxes of {thing}", "sold {n} boxes of {thing}",
       "checked {n} boxes of {thing}", "sent {n} boxes of {thing} to {place}", "received {n} boxes of {thing} from {place}", "repaired {n} boxes of {thing}", "sorted the {adj} {thing}",
       "talked about the {adj} {thing}", "looked for the {adj} {thing}", "packed the {adj} {thing} for {place}"]
REMARKS = ["The weather was {weather} and nobody complained.", "{person} said that the {thing} were late.", "{person} and {person2} stayed until evening.",
           "There was a short meeting about the {adj} {thing}.", "A visitor from {place} asked many questions.", "The {adj} {thing} will arrive next {day}.",
           "Nothing else happened that day.", "{person} took some photos of the {thing}.", "We had lunch at noon and went on with the {thing}.",
           "The train from {place} was {n} minutes late.", "{person} will write to {place} about it.", "It took {n} minutes in all.",
           "The old list of {thing} is no longer needed.", "Everyone was content with the result.", "{person} prefers the {adj} {thing}.",
           "The lift was out of order for {n} hours.", "Somebody left a bag in the {team}."]
WEATHER = "warm cold windy rainy sunny cloudy mild grey dry foggy".split()
REPORT_OPENINGS = ["Here is a report from the {team}.", "Please read this report.", "This is what happened on {day}.", "Notes from {month}:",
                   "A long message from the {team}:", "Let me tell you about the week.", "Some news from {place}:"]
REPORT_OPENINGS_HELD_OUT = ["Here are my notes of {day}.", "This came from the {team} today.", "Something to read in between:"]
REPORT_ANSWERS = ["Thank you for the report.", "Thanks, I have read it.", "Understood.", "That sounds like a busy day.", "Thank you, that is good to know."]

CHAT = [
    (["Hello!", "Hi!", "Good morning!", "Hello there.", "Good evening.", "Hi, it's me.", "Hello again."],
     ["Hello! What can I do for you?", "Hello! It is good to hear from you."]),
    (["Thank you.", "Thanks a lot!", "Thanks, that helps.", "Great, thank you!", "Very good."], ["You are welcome.", "I am glad to help."]),
    (["How are you?", "How are you today?", "Are you well?"], ["I am well, thank you.", "Very well, thank you. What is next?"]),
    (["Goodbye.", "See you tomorrow.", "That is all for today.", "I have to go now.", "Talk to you later."], ["Goodbye! I will remember what you told me.", "See you soon!"]),
    (["I am a bit tired today.", "It was a long day.", "There is so much to do.", "I need a coffee."], ["Then take a short break. I will be here.", "I hope that it gets easier soon."]),
    (["What can you do?", "How can you help me?", "What are you good at?"],
     ["I remember what you tell me, answer questions about it, use tools and pass tasks on to colleagues."]),
    (["Are you there?", "Can you hear me?", "Is this thing on?"], ["Yes, I am here."]),
    (["Are you a real person?", "Are you human?", "What kind of model are you?", "Are you a computer?"],
     ["No, I am a small language model that was made to show how agents remember."]),
    (["Wait a moment, please.", "Hold on.", "One moment."], ["Of course, take your time."]),
    (["Did you understand me?", "Is that clear?", "Okay?"], ["Yes, that is clear."]),
]

OUTSIDE = """
What is the capital of {country}?|Who wrote {work}?|How far away is the {sky}?|Can you write a poem about {thing}?|Solve this equation: {n} x + {n2} = {n3}.
Translate '{word}' into French.|What is {n} times {n2}?|Write a program that sorts {thing}.|How do I cook {thing}?|Who won the world cup in {year}?
What will the weather be like tomorrow?|Tell me a joke.|What happened in the year {year}?|How does a {machine} work?|Who was the first person on the {sky}?
Which medicine helps against {illness}?|What should I invest my money in?|Explain {science} to me.|What is the meaning of life?|Who is the president of {country}?
How tall is {work}?|Sing a song about {thing}.|How many people live in {country}?|What is the best film of {year}?|Why is the sky blue?
Give me a recipe with {thing}.|How do I learn {science}?|What do you think about politics in {country}?|Draw a picture of a {machine}.|Play a game with me.
Can you fix my {machine}?|What is the square root of {n}?|Write an essay about {science}.|Do you believe in ghosts?|When was {work} built?
Who made the first {machine}?|What makes {illness} worse?|How large is the {sky}?|What is {n} minus {n2}?|Why do birds sing?|How can I mend a {machine}?|Which food is common in {country}?
Tell a story with a {machine} in it.|List some towns in {country}.|Draft a speech about {science}.|Which animals live in {country}?|Where does the name {country} come from?
Who discovered {science}?|Why do people get {illness}?|Describe a {machine}.|How fast is a {machine}?|When did people begin with {science}?|What is {n} divided by {n2}?
Say something in the language of {country}.|What colour is the {sky}?|How many {thing} are there in the world?|Count to {n}.|Spell the word {word}.|Is {n} a prime number?
Give me the names of mountains in {country}.|Tell me about {work}.|How do fish breathe?|Why do dogs bark?|What do horses eat?|Why is water wet?|How deep is the sea?|How hot is the {sky}?
Write a letter to a {machine}.|What came before {science}?|Can a {machine} fly?|Make a rhyme with {word}.|Which is larger, {n} or {n2}?|Add {n} and {n2}.|Who lives on the {sky}?
Read {work} to me.|Why are {machine}s so expensive?|What is a {machine} made of?|How long does {illness} last?|Teach me {science}.|Do cats dream?|What do you know of {science}?
Name a song about {country}.|Which {machine} is the best?|Why does a {machine} break?|How was {work} made?|What rhymes with {word}?|Compare {country} and {work}.
""".replace("\n", "|").strip("|").split("|")
OUTSIDE_HELD_OUT = """
Which language do people speak in {country}?|How old is the {sky}?|Compose a letter about {science}.|What is {n} plus {n2}?|Why do cats purr?
How do I repair a {machine}?|Name three rivers in {country}.|What causes {illness}?|Can you tell me a story about a {machine}?|Who invented the {machine}?
""".replace("\n", "|").strip("|").split("|")
OUTSIDE_FILL = {
    "country": "France Spain Italy Japan Brazil Canada Egypt India Kenya Norway Poland Mexico China Turkey Greece Sweden Austria Chile Peru Ghana".split(),
    "work": "Hamlet|the Odyssey|Faust|the Eiffel Tower|Don Quixote|the Bible|Moby Dick|the Colosseum|Macbeth|the Great Wall".split("|"),
    "sky": "moon sun sea planet star galaxy comet".split(),
    "machine": "car radio telephone rocket fridge bicycle clock camera printer computer television compass engine piano boat".split(),
    "illness": "headache fever flu cough pain stress insomnia hiccups".split(),
    "science": "physics gravity biology philosophy electricity history mathematics economics evolution chess grammar magnetism".split(),
}
OUTSIDE_ANSWERS = ["I am only a small demonstration model, so I can't help with that. I can remember what you tell me, though."]


def report(lexicon, n_sentences):
    """A message without facts that anybody asks for."""
    random = lexicon.random

    def fill(text):
        return text.format(n=random.randint(2, 60), thing=lexicon.thing(), place=lexicon.place(), adj=lexicon.adjective(),
                           weather=lexicon.choice(WEATHER), person=lexicon.person(), person2=lexicon.person(), day=lexicon.choice(DAYS),
                           month=lexicon.choice(MONTHS), team=lexicon.choice(TEAMS))

    sentences = [fill(lexicon.choice(REPORT_OPENINGS_HELD_OUT if lexicon.held_out else REPORT_OPENINGS))]
    for _ in range(n_sentences):
        if lexicon.chance(0.5):
            sentences.append(fill(f"On {{day}} the {{team}} {lexicon.choice(DID)}."))
        else:
            sentences.append(fill(lexicon.choice(REMARKS)))
    return " ".join(sentences)


def ramble(lexicon):
    """Text that means nothing here: words without order, or a few broken sentences over and over."""
    random = lexicon.random
    broken = [lexicon.choice(REMARKS).partition("{")[0].strip(" .") or "So it goes" for _ in range(random.randint(1, 6))]
    if lexicon.chance(0.5):
        return " ".join(f"{random.choice(broken)}." for _ in range(random.randint(2, 60)))
    words = " ".join(broken).split() + [lexicon.adjective(), lexicon.thing()]
    return " ".join(random.choice(words) for _ in range(random.randint(4, 120)))


def outside(lexicon):
    """A question that the model can't answer."""
    random = lexicon.random
    fill = {name: lexicon.choice(words) for name, words in OUTSIDE_FILL.items()}
    return lexicon.choice(OUTSIDE_HELD_OUT if lexicon.held_out else OUTSIDE).format(
        n=random.randint(2, 99), n2=random.randint(2, 99), n3=random.randint(100, 999), year=random.randint(1900, 2025),
        thing=lexicon.thing(), word=lexicon.adjective(), **fill)
