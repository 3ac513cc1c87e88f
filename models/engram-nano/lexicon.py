"""Words for the conversations. Each list is cut in two: the evaluation draws from the part that training never sees.

`Lexicon(random, held_out)` makes names and values: from the lists, or (for training, so that the model learns to copy anything)
put together from syllables and letters.
"""
from random import Random

FIRST_NAMES = """
Ada Alan Alice Amir Anders Anna Anton Astrid Ben Bianca Boris Camille Carla Carlos Chen Clara Daniel Daria David Diego Elena Elif
Emil Emma Enzo Erik Esther Eva Fatima Felix Fiona Frank Gabriel Greta Hana Hannah Hans Henry Ida Igor Ines Irene Ivan Jack Jana
Jasmin Jelena Joan Jonas Jorge Julia Kamil Karin Karl Kenji Klara Lars Laura Lea Leo Lina Louis Lucia Luka Maja Marco Maria Mark
Marta Max Mei Mila Milan Mira Nadia Nils Nina Noah Nora Olga Oliver Omar Oscar Otto Paul Pavel Pedro Petra Philip Priya Rafael
Ravi Rita Robert Rosa Ruth Samir Sara Simon Sofia Sven Tara Theo Tom Uma Vera Victor Wanda Yara Yusuf Zoe
Agnes Bruno Cecil Dora Edgar Flora Gustav Helga Imran Judit Kofi Lydia Mateo Naomi Olaf Paula Quentin Renata Stefan Tilda Ugo Vivian
Walter Xenia Yvonne Zeno
""".split()
FIRST_HELD_OUT = 26

LAST_NAMES = """
Adams Ahmed Andersen Bauer Becker Berg Bianchi Blanc Braun Brown Carter Castro Clark Conti Costa Cruz Dahl Diaz Dubois Evans Farkas
Fischer Fontaine Foster Garcia Gomez Grant Gruber Haas Hansen Hoffmann Horvat Hughes Ito Jansen Jensen Keller Khan Kim King Klein
Kovac Kowalski Lang Larsen Lee Lehmann Lindberg Lopez Maier Marin Martin Mason Meyer Miller Moreau Mori Nagy Nielsen Novak Okoye
Olsen Ortiz Owens Park Patel Peters Petrov Popov Quinn Ramos Reed Ricci Rossi Roth Ryan Sato Schmidt Schulz Silva Singh Smith Sokolov
Stein Suzuki Svensson Tanaka Taylor Torres Turner Vargas Vogel Wagner Walker Wang Weber Weiss Wolf Wood Wright Yilmaz Young Zhang
Abbott Bergman Cohen Drexler Eriksen Fuentes Galli Haddad Ivanov Jurado Kaplan Lombardi Molnar Nakamura Osman Pereira Quiroga Rinaldi
Santos Tomic Ueda Varga Winkler Xu Yamada Zeller
""".split()
LAST_HELD_OUT = 26

PLACES = """
Aachen Amsterdam Antwerp Athens Austin Barcelona Basel Belgrade Bergen Berlin Bern Bilbao Bologna Bordeaux Boston Bremen Brno
Brussels Budapest Cairo Chicago Cologne Cork Dallas Delhi Denver Dresden Dublin Essen Florence Geneva Genoa Ghent Glasgow Graz
Hamburg Hanoi Helsinki Houston Istanbul Kyoto Leeds Leipzig Lille Lima London Lyon Madrid Malmo Manila Marseille Milan Montreal
Munich Nairobi Nantes Naples Nice Osaka Oslo Oxford Padua Paris Perth Porto Prague Quito Riga Rome Rotterdam Salzburg Seattle Seoul
Seville Sofia Stockholm Sydney Tampere Tokyo Toronto Trieste Turin Utrecht Valencia Vienna Vilnius Warsaw Zagreb Zurich
Aarhus Bristol Cordoba Davos Eindhoven Freiburg Granada Heidelberg Innsbruck Jakarta Krakow Lisbon Maribor Nagoya Odense Palermo
Regensburg Split Tallinn Uppsala Verona Winterthur York
""".split()
PLACES_HELD_OUT = 23

CODE_NAMES = """
Amber Anchor Apollo Arrow Aurora Badger Basalt Beacon Birch Bison Canyon Cedar Cobalt Comet Condor Coral Crane Delta Dolphin Eagle
Echo Ember Falcon Fern Fjord Forest Fox Galaxy Garnet Glacier Granite Harbor Hawk Hazel Heron Horizon Iris Ivory Jade Jaguar Jasper
Juniper Kestrel Lagoon Lantern Larch Lemon Lion Lotus Lynx Magnet Maple Marble Meadow Mercury Meteor Mint Moon Nebula Nova Oak Ocean
Olive Onyx Orbit Orchid Otter Panda Pearl Phoenix Pine Planet Plum Polar Prism Quartz Rain Raven River Robin Ruby Saffron Sage Sierra
Silver Sparrow Spruce Storm Summit Sunrise Tango Thunder Tiger Topaz Tulip Vega Velvet Violet Walnut Willow Zebra Zenith
Acorn Bamboo Cactus Dune Emerald Fjell Geyser Hornet Indigo Jackal Koala Lava Mango Narwhal Osprey Papaya Quail Reef Sequoia Tundra
Umbra Vortex Walrus Yarrow
""".split()
CODE_NAMES_HELD_OUT = 24

ADJECTIVES = """
red blue green yellow white black grey brown large small narrow wide old new fast slow quiet bright dark light heavy soft hard round
square open closed public private local central northern southern weekly daily monthly annual simple double single
purple orange silver golden deep shallow thick thin early late
""".split()
ADJECTIVES_HELD_OUT = 10

THINGS = """
paint paper glass steel wood brick stone cloth leather plastic copper bread coffee tea soup rice fruit bikes trains trucks boats
boxes chairs tables lamps doors windows walls roofs gardens maps books letters reports tests releases reviews meetings backups
updates labels cables pumps motors sensors filters tanks shelves tools keys locks bags bottles plates
candles carpets curtains drawers ladders mirrors pillows ribbons statues tickets umbrellas wheels
""".split()
THINGS_HELD_OUT = 12

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
COLOURS = "red blue green yellow white black grey brown pink purple orange turquoise".split()

# What people can do. (skill, how a task that needs it is put)
SKILLS = """
contracts: read the contract with {org}|check a contract
accounting: do the accounting for {month}|check the accounting figures
translation: take care of the translation of a letter|do a translation into French
databases: move the databases to new disks|tune the databases
networks: look after the networks in {place}|repair the networks
security: do a security review|look at the security of the login page
marketing: plan the marketing for {project}|write a marketing plan
hiring: help with hiring two people|run the hiring for the office in {place}
travel: book the travel to {place}|plan the travel for the team
catering: organise the catering for the party|order the catering for Friday
printing: arrange the printing of the posters|do the printing of our brochure
logistics: plan the logistics to {place}|handle the logistics of {project}
taxes: answer a question about taxes|prepare the taxes
insurance: renew the insurance|compare insurance offers
photography: do the photography at the fair|arrange photography of the new building
statistics: prepare the statistics of {month}|explain these statistics
testing: do the testing of the new release|plan the testing of {project}
design: make a design for the entrance|improve the design of the form
heating: repair the heating|check the heating in {place}
plumbing: fix the plumbing|look at the plumbing in the kitchen
training: organise a training for new colleagues|plan the training in {place}
billing: correct the billing of {org}|explain our billing
compilers: find out why the compilers disagree|update the compilers
backups: restore the backups of {month}|check the backups
chemistry: answer a question about chemistry|check the chemistry report
music: choose the music for the event|prepare the music for {project}
maps: draw the maps for {project}|check the maps of {place}
forecasts: make the forecasts for {month}|look at the sales forecasts
patents: search the patents|write to {org} about the patents
robots: repair the robots|set up the robots in {place}
gardening: do the gardening behind the office|plan the gardening
sales: talk about sales with {org}|review the sales of {month}
video: cut the video of the talk|record a video about {project}
storage: plan the storage of old files|buy more storage
recipes: collect the recipes for the canteen|find recipes for {month}
payroll: run the payroll for {month}|correct the payroll
archives: search the archives for {project}|tidy the archives
lighting: replace the lighting in the hall|plan the lighting for {project}
cleaning: arrange the cleaning of the office|plan the cleaning in {place}
elevators: inspect the elevators|repair the elevators in {place}
carpentry: do the carpentry in the new office|plan the carpentry for {project}
astronomy: answer a question about astronomy|prepare the astronomy evening
auditing: prepare the auditing of {org}|do the auditing for {month}
ceramics: order the ceramics for the lobby|restore the ceramics
welding: do the welding of the frame|check the welding in {place}
nutrition: write a page about nutrition|answer a question about nutrition
typography: choose the typography of the report|review the typography
fundraising: plan the fundraising for {project}|help with fundraising in {month}
acoustics: measure the acoustics of the hall|improve the acoustics in {place}
genealogy: do the genealogy of a family|answer a question about genealogy
""".strip().split("\n")
SKILLS_HELD_OUT = 10
# Words that stand around what matters. Sentences of them, drawn at random, teach that it isn't the wording that counts.
FILLERS = """
please could would might shall should can may do did have has get say see look check want need wish like know hear read find take
bring fetch show tell ask call write state name quote repeat recall remember remind search again once more now here there quickly kindly
soon then still just only first last next up for about of to me us you it that this what which how where when and so but or also if as my
one thing question word moment matter note line list day time work help
""".split()
ANY_TASK = ["do the {} in {}", "check the {}", "help with the {}", "plan the {} for {}", "answer a question about {}", "take care of the {}", "look at the {} in {}",
            "write a page about {}", "order the {} for {}", "improve the {}"]

ONSETS = """
b bl br c ch cl cr d dr dw f fl fr g gl gr gw h j k kl kn kr l m n p ph pl pr qu r rh s sc sch sh sk sl sm sn sp spr st str sv sw t th
tr ts tw v vl w wh wr x y z zh
""".split() + [""]
VOWELS = "a a e e i i o o u u y aa ai au ea ee ei eu ia ie io oa oe oi oo ou ua ue ui".split()
ENDINGS = """
b ck d ff g k l ll ld lf lk lm lp ls lt m mb mp n nd ng nk ns nt p r rd rg rk rl rm rn rp rs rt s sh sk sp ss st t th ts tz v w x z
""".split() + [""] * 20
USUALLY_BACKWARD = 0.4  # share of the facts that are told value first
FEW = 0.7  # share of training's conversations that are about few people, places and things, so that the same words come again and again
INVENTED = 0.5  # share of made-up names in training, so that the model learns to copy what it has never seen


# Pieces of the vocabulary that made-up words are put together from, once there is one: at a word's start (capital or small letter)
# and inside. Without them a third of the pieces would never stand where the model has to copy.
_pieces = {"capital": [], "small": [], "inside": []}


def use_pieces(pieces):
    """pieces: texts of the vocabulary, with U+2581 for a space in front."""
    for piece in pieces:
        text = piece.removeprefix("\u2581")
        if text.isascii() and text.isalpha() and (text.islower() or text.istitle()):
            _pieces["capital" if text.istitle() else "inside" if piece == text else "small"].append(text)


class Lexicon:
    """Draws names and values with `random` (a random.Random). held_out: from the parts that training never sees; backward: the share of the
    facts, in training, that are told value first."""

    def __init__(self, random, held_out=False, backward=USUALLY_BACKWARD, few=None):
        self.random = random
        self.held_out = held_out
        self.backward = backward
        self.first = self._part(FIRST_NAMES, FIRST_HELD_OUT)
        self.last = self._part(LAST_NAMES, LAST_HELD_OUT)
        self.places = self._part(PLACES, PLACES_HELD_OUT)
        self.code_names = self._part(CODE_NAMES, CODE_NAMES_HELD_OUT)
        self.adjectives = self._part(ADJECTIVES, ADJECTIVES_HELD_OUT)
        self.things = self._part(THINGS, THINGS_HELD_OUT)
        self.skills = self._part(SKILLS, SKILLS_HELD_OUT)
        self.made_up = 1.0
        if few is None and not held_out and random.random() < FEW:
            few = random.random()
        if few is not None:
            self._take_few(few)

    def _part(self, words, n_held_out):
        return words[-n_held_out:] if self.held_out else words[:-n_held_out]

    def _take_few(self, seed):
        own, self.random = self.random, Random(seed)
        self.first, self.last, self.places, self.code_names = (
            self._some(words, 10, 30, capital=True) for words in (self.first, self.last, self.places, self.code_names))
        self.adjectives, self.things = self._some(self.adjectives, 5, 14), self._some(self.things, 5, 14, ending="s")
        self.random, self.made_up = own, 0.2

    def _some(self, words, low, high, capital=False, ending=""):
        """So many of the words and, in the place of some, made-up ones."""
        some = self.random.sample(words, self.random.randint(low, high))
        return [self.word(capital) + ending if self.chance(0.4) else word for word in some]

    def choice(self, items):
        return items[int(self.random.random() * len(items))]

    def chance(self, probability):
        return self.random.random() < probability

    def word(self, capital=True):
        """A word that nobody knows, such as Varonk."""
        start = _pieces["capital" if capital else "small"]
        if start and self.chance(0.6):
            n = self.random.choice((0, 1, 1, 2, 2, 3))
            return self.choice(start) + "".join(self.choice(_pieces["inside"]) for _ in range(n))
        syllables = [self.choice(ONSETS) + self.choice(VOWELS) + (self.choice(ENDINGS) if self.chance(0.6) else "")
                     for _ in range(self.random.choice((1, 1, 2, 2, 2, 3)))]
        text = "".join(syllables)
        return text.capitalize() if capital else text

    def fillers(self, low, high):
        """Words in no order that means anything."""
        return " ".join(self.word(capital=False) if self.chance(0.15) else self.choice(FILLERS) for _ in range(self.random.randint(low, high)))

    def invents(self, share=INVENTED):
        """Whether the next word is a made-up one; never in the evaluation."""
        return not self.held_out and self.chance(share)

    def adjective(self):
        return self.word(capital=False) if self.invents(0.2 * self.made_up) else self.choice(self.adjectives)

    def thing(self):
        return self.word(capital=False) + "s" if self.invents(0.3 * self.made_up) else self.choice(self.things)

    def first_name(self):
        return self.word() if self.invents(INVENTED * self.made_up) else self.choice(self.first)

    def person(self):
        last = self.word() if self.invents(INVENTED * self.made_up) else self.choice(self.last)
        return f"{self.first_name()} {last}"

    def place(self):
        return self.word() if self.invents(INVENTED * self.made_up) else self.choice(self.places)

    def code_name(self):
        return self.word() if self.invents(INVENTED * self.made_up) else self.choice(self.code_names)

    def letters(self, low=4, high=7):
        return "".join(self.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(self.random.randint(low, high)))

    def code(self):
        """A code word made of random letters; sometimes in small letters or with digits."""
        text = self.letters()
        kind = self.random.random()
        if kind < 0.1:
            return text.lower()
        if kind < 0.25:
            return f"{text[:3]}-{self.random.randint(10, 999)}"
        return text

    def number(self):
        low, high = self.choice(((2, 99), (100, 999), (1000, 9999), (10000, 99999)))
        return str(self.random.randint(low, high))

    def date(self):
        text = f"{self.random.randint(1, 28)} {self.choice(MONTHS)}"
        return f"{text} {self.random.randint(2024, 2032)}" if self.chance(0.3) else text

    def decision(self):
        return f"{self.adjective()} {self.thing()}"

    def organisation(self):
        return f"{self.choice(self.last) if self.chance(0.6) else self.word()} {self.choice(('Ltd', 'Group', 'and Sons', 'Works', 'Labs'))}"

    def skill(self):
        """(skill, two ways to put a task that needs it, with names filled in)"""
        if self.invents(0.4):
            name = self.word(capital=False)
            return name, [task.format(name, self.place()) for task in self.random.sample(ANY_TASK, 2)]
        name, tasks = self.choice(self.skills).split(": ")
        fill = {"org": self.organisation(), "place": self.place(), "month": self.choice(MONTHS), "project": f"project {self.code_name()}"}
        return name, [task.format(**fill) for task in tasks.split("|")]

    def value(self, kind):
        return {
            "code": self.code, "number": self.number, "person": self.person, "place": self.place, "date": self.date,
            "decision": self.decision, "name": self.first_name, "colour": lambda: self.choice(COLOURS),
            "day": lambda: self.choice(DAYS),
        }[kind]()
