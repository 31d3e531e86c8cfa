"""What people and animals do in the demo's world, where, and what readers make of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from contested.demo.lexicon import OUTDOORS

PERSON, ANIMAL, ANY = "person", "animal", "any"


@dataclass(frozen=True)
class Action:
    """An activity; verb and predicates agree with one subject ("is ...") and are inflected for more.

    Attributes:
        verb: The present participle, such as "running".
        implies: Predicates that restate or generalise the action.
        hints: Predicates that the caption leaves open.
        who: Whose activity it is: a person's, an animal's or any.
        posture: Two different postures exclude each other; "" goes with every posture.
        busy: Two actions that both need the hands (or the mouth) rarely go together.
        objects: What it is done with, where that can be named.
        shared: Several subjects share one object.
        places: Typical places first.
    """

    verb: str
    implies: dict[str, float]
    hints: dict[str, float]
    who: str = PERSON
    posture: str = ""
    busy: bool = True
    objects: tuple[str, ...] = ()
    shared: bool = False
    places: tuple[str, ...] = field(default=OUTDOORS)


_GREEN = ("park", "field", "yard", "garden", "beach", "farm")
_TABLE = ("restaurant", "cafe", "kitchen", "park", "market")

ACTIONS = (
    Action(
        "running",
        {"is moving": 5, "is jogging": 2.0, "is moving fast": 2.9, "is sprinting": 0.5},
        {"is in a hurry": 0.4, "is tired": 0.7, "is being chased": -1.3, "is getting exercise": 2.4},
        ANY,
        "run",
        busy=False,
        places=("park", "street", "beach", "field", "sidewalk", "forest", "playground", "stadium", "gym"),
    ),
    Action(
        "racing",
        {"is moving": 4.6, "is in a race": 3.6, "is competing": 2.9, "is running": 2.2},
        {"is trying to win": 2.4, "is winning": -0.4, "is tired": 0.9, "has lost": -1.7},
        posture="run",
        busy=False,
        places=("stadium", "field", "street", "park", "beach"),
    ),
    Action(
        "walking",
        {"is moving": 5, "is going somewhere": 2.6, "is taking a stroll": 1.9, "is hiking": -0.6},
        {"is going home": 0.0, "is lost": -1.6, "is relaxed": 0.9, "is getting fresh air": 1.9},
        ANY,
        "walk",
        busy=False,
        places=("street", "park", "sidewalk", "beach", "forest", "mountain", "market", "parking lot"),
    ),
    Action(
        "jumping",
        {"is moving": 4.6, "is in the air": 2.2, "is leaping": 3.2, "is active": 3.4},
        {"is excited": 1.7, "is having fun": 2.0, "is afraid": -1.7, "is trying to reach something": 0.0},
        ANY,
        "jump",
        busy=False,
        places=("playground", "yard", "park", "field", "beach", "gym"),
    ),
    Action(
        "swimming",
        {"is wet": 4.3, "is in the water": 4.7, "is moving": 4.2, "is taking a bath": -1.2},
        {"is cold": 0.2, "is enjoying the water": 1.9, "is drowning": -2.5, "is hot": 0.6},
        ANY,
        "swim",
        places=("lake", "beach"),
    ),
    Action(
        "sleeping",
        {"is resting": 4.2, "is taking a nap": 2.0, "is not awake": 4.6, "is lying down": 1.6},
        {"is tired": 2.3, "is dreaming": 1.2, "is sick": -1.1, "is comfortable": 1.7},
        ANY,
        "sleep",
        places=("bedroom", "living room", "park", "train station", "beach", "yard"),
    ),
    Action(
        "sitting on",
        {"is sitting": 5, "is seated": 4.8, "is resting": 1.9, "is sitting down": 3.6},
        {"is tired": 0.8, "is waiting for somebody": 0.4, "is bored": -0.2, "is relaxed": 1.4},
        ANY,
        "sit",
        busy=False,
        objects=("bench", "couch", "chair"),
        shared=True,
        places=("park", "living room", "garden", "train station", "hospital", "yard"),
    ),
    Action(
        "standing",
        {"is upright": 3.6, "is not sitting": 4.5, "is standing still": 1.5},
        {"is waiting for somebody": 1.1, "is bored": 0.1, "is lost": -1.2, "is looking at something": 1.7},
        ANY,
        "stand",
        busy=False,
        places=("street", "sidewalk", "train station", "store", "field", "office", "market"),
    ),
    Action(
        "waiting",
        {"is not in a hurry": -0.6, "is expecting something": 2.4, "is patient": 1.3, "is staying in one place": 2.1},
        {"is bored": 1.2, "is late": -0.2, "is waiting for a friend": 0.5, "is angry": -1.2},
        ANY,
        "stand",
        busy=False,
        places=("train station", "hospital", "street", "store", "office"),
    ),
    Action(
        "playing",
        {"is making music": 3.7, "is performing": 1.5, "is practicing": 0.9, "is making noise": 2.6},
        {"has talent": 1.2, "is a musician": 1.9, "is being paid": -0.2, "has an audience": 0.6},
        objects=("guitar", "violin", "trumpet", "piano"),
        places=("street", "living room", "park", "cafe", "classroom", "restaurant"),
    ),
    Action(
        "playing",
        {"is playing": 5, "is doing something active": 3.0, "is competing": 1.4, "is playing a game": 2.3},
        {"is winning": 0.1, "is on a team": 1.3, "is a professional": -0.8, "is having fun": 2.3},
        posture="run",
        objects=("soccer", "basketball", "tennis"),
        places=("park", "stadium", "playground", "gym", "field", "yard"),
    ),
    Action(
        "playing",
        {"is playing a game": 4.6, "is thinking": 2.9, "is competing": 2.0, "is playing a board game": 3.5},
        {"is winning": 0.1, "is smart": 1.3, "is playing for money": -1.2, "is bored": -1.6},
        posture="sit",
        objects=("chess",),
        places=("park", "cafe", "living room", "classroom", "library"),
    ),
    Action(
        "riding",
        {"is moving": 3.9, "is traveling": 2.1, "is getting around": 2.2, "is a rider|are riders": 2.7},
        {"is going to work": 0.3, "is in a race": -0.8, "is going fast": 0.8, "is getting exercise": 1.4},
        posture="ride",
        objects=("bike", "motorcycle", "horse", "scooter"),
        places=("street", "park", "mountain", "forest", "field", "beach"),
    ),
    Action(
        "dancing",
        {"is moving": 4.4, "is moving to music": 2.3, "is performing": 0.5, "is active": 3.2},
        {"is happy": 2.0, "is at a party": 0.8, "is a professional dancer|are professional dancers": -0.6},
        posture="dance",
        busy=False,
        places=("living room", "street", "park", "stadium", "gym", "restaurant"),
    ),
    Action(
        "singing",
        {"is making noise": 3.0, "is making music": 2.2, "is opening a mouth|are opening their mouths": 3.0},
        {"is happy": 1.8, "has an audience": 0.9, "is practicing": 0.4, "is famous": -1.6, "has talent": 1.1},
        places=("street", "park", "classroom", "cafe", "stadium", "living room"),
    ),
    Action(
        "talking",
        {"is speaking": 4.6, "is chatting": 2.7, "is having a conversation": 2.6, "is arguing": -0.9},
        {"is telling a story": 0.5, "is talking about work": -0.2, "is angry": -1.3, "is with a friend": 1.4},
        busy=False,
        places=("cafe", "office", "street", "restaurant", "park", "market", "classroom"),
    ),
    Action(
        "laughing",
        {"is making a sound": 3.6, "is amused": 3.1, "is happy": 2.6, "is smiling": 2.2},
        {"has heard a joke": 1.3, "is with friends": 1.5, "is sad": -2.6, "is laughing at somebody": -0.4},
        busy=False,
        places=("cafe", "park", "living room", "classroom", "street", "restaurant"),
    ),
    Action(
        "smiling",
        {"is happy": 2.3, "has a happy face|have happy faces": 3.3, "is cheerful": 2.5, "is laughing": -0.1},
        {"is posing for a photo": 0.6, "is in love": -0.9, "is having a good day": 1.7, "is sad": -2.5},
        busy=False,
        places=("park", "beach", "street", "office", "restaurant", "garden"),
    ),
    Action(
        "crying",
        {"is upset": 2.4, "is sad": 2.1, "has tears": 3.1, "is unhappy": 2.3},
        {"is hurt": 0.6, "is lost": 0.0, "has had bad news": 0.7, "is having fun": -2.6, "is hungry": -0.5},
        busy=False,
        places=("hospital", "bedroom", "street", "classroom", "playground", "train station"),
    ),
    Action(
        "eating",
        {"is having a meal": 2.2, "is having a snack": 1.3, "is chewing": 2.7, "is feeding": 0.9},
        {"is hungry": 2.2, "is having lunch": 0.9, "is on a diet": -1.9, "is enjoying the taste": 2.0},
        objects=("pizza", "sandwich", "apple", "banana", "cake", "ice cream", "soup"),
        places=_TABLE,
    ),
    Action(
        "eating",
        {"is chewing": 2.9, "is having a meal": 2.3, "is feeding": 3.2, "is having dinner": 0.6},
        {"is hungry": 2.3, "is still hungry": 0.3, "is enjoying the taste": 1.6, "is being trained": -1.2},
        ANIMAL,
        places=("yard", "field", "kitchen", "farm", "garden"),
    ),
    Action(
        "drinking",
        {"is having a drink": 4.4, "is swallowing": 3.2, "is having a break": 1.2, "is having breakfast": -0.6},
        {"is thirsty": 2.1, "is sleepy": 0.0, "is drinking alcohol": -2.6, "is hot": 0.3},
        objects=("coffee", "tea", "water", "juice"),
        places=("cafe", "kitchen", "office", "restaurant", "park", "train station"),
    ),
    Action(
        "cooking",
        {"is preparing food": 4.5, "is making a meal": 3.0, "is making dinner": 1.4, "is using a stove": 2.1},
        {"is hungry": 1.3, "is cooking for a family": 0.8, "is a good cook|are good cooks": 1.1, "is being paid": 0.1},
        posture="stand",
        objects=("soup", "fish", "pizza", "vegetables"),
        shared=True,
        places=("kitchen", "restaurant", "yard", "market"),
    ),
    Action(
        "reading",
        {"is looking at words": 3.9, "is learning something": 1.7, "is studying": 0.7, "is reading": 5},
        {"is interested": 2.0, "is a student|are students": 0.5, "is bored": -0.6, "likes reading": 2.1},
        objects=("book", "newspaper", "magazine"),
        places=("library", "park", "living room", "cafe", "train station", "bedroom"),
    ),
    Action(
        "using",
        {"is using technology": 4.1, "is looking at a screen": 2.7, "is online": 1.7, "is working": 0.7},
        {"is writing a message": 0.9, "is playing a game": -0.3, "is busy": 1.2, "is talking to somebody": -0.2},
        objects=("laptop", "phone"),
        places=("office", "cafe", "library", "living room", "train station", "classroom"),
    ),
    Action(
        "watching",
        {"is looking at a screen": 2.9, "is being entertained": 2.4, "is watching television": 1.5},
        {"is bored": -0.5, "is enjoying the show": 1.9, "is eating a snack": 0.1, "is having a day off": 0.9},
        posture="sit",
        busy=False,
        objects=("movie",),
        shared=True,
        places=("living room", "bedroom", "classroom", "cafe"),
    ),
    Action(
        "throwing",
        {"is moving": 2.9, "is playing catch": 1.6, "is playing": 2.2, "is tossing something": 3.4},
        {"is playing with a friend": 1.1, "is angry": -1.5, "is strong": 0.5, "is having fun": 2.0},
        objects=("ball", "frisbee", "stick"),
        shared=True,
        places=("park", "beach", "yard", "field", "playground"),
    ),
    Action(
        "chasing",
        {"is moving": 4.5, "is running": 2.8, "is following something": 3.5, "is playing": 2.3},
        {"is having fun": 2.1, "is going to catch it": 0.9, "is angry": -1.2, "is playing fetch": 1.3},
        ANY,
        "run",
        busy=False,
        objects=("ball", "frisbee"),
        shared=True,
        places=_GREEN,
    ),
    Action(
        "chewing on",
        {"is chewing": 4.8, "is biting something": 3.4, "is eating": 0.2, "is playing": 1.5},
        {"is hungry": 0.5, "is a good pet|are good pets": 0.2, "is bored": 0.4, "is being bad": -0.9},
        ANIMAL,
        objects=("stick", "toy", "ball"),
        shared=True,
        places=("yard", "living room", "park", "garden"),
    ),
    Action(
        "flying",
        {"is holding a string|are holding strings": 2.5, "is looking up": 2.2, "is playing": 2.4, "is having fun": 2.1},
        {"is enjoying the wind": 1.7, "is skilled": 0.6, "is winning a contest": -1.3, "is bored": -1.8},
        objects=("kite",),
        places=("beach", "field", "park"),
    ),
    Action(
        "painting",
        {"is using a brush|are using brushes": 2.8, "is using paint": 4.3, "is working": 1.6, "is making art": 0.9},
        {"is an artist|are artists": 0.9, "is being paid": 0.2, "is nearly finished": -0.2, "is decorating": 1.4},
        objects=("wall", "fence", "picture"),
        shared=True,
        places=("yard", "garden", "street", "classroom", "living room", "garage"),
    ),
    Action(
        "fixing",
        {"is repairing something": 4.7, "is working": 2.3, "is using tools": 2.5, "is building something": -0.4},
        {"is a mechanic|are mechanics": 1.3, "is being paid": 0.4, "knows what to do": 1.9, "is frustrated": 0.0},
        objects=("car", "bike", "motorcycle", "fence"),
        shared=True,
        places=("garage", "street", "parking lot", "yard", "farm"),
    ),
    Action(
        "washing",
        {"is cleaning something": 4.6, "is using water": 3.8, "is doing a chore": 2.2, "is working": 1.2},
        {"is the owner|are the owners": 1.4, "is wet": 1.0, "is being paid": -0.3, "likes cleaning": 0.6},
        posture="stand",
        objects=("car", "bike", "motorcycle"),
        shared=True,
        places=("parking lot", "street", "yard", "garage"),
    ),
    Action(
        "carrying",
        {"is holding something": 4.7, "is lifting something": 1.9, "is transporting something": 3.3},
        {"is strong": 0.9, "is moving to a new house": -0.4, "is going home": 0.6, "is tired": 0.5},
        objects=("box", "bag", "basket", "ladder"),
        places=("street", "market", "train station", "store", "office", "farm"),
    ),
    Action(
        "climbing",
        {"is moving": 3.7, "is going up": 3.1, "is above the ground": 2.9, "is getting exercise": 2.2},
        {"is afraid of falling": 0.3, "is at the top": -0.7, "is in danger": 0.5, "is skilled": 1.1},
        posture="climb",
        objects=("tree", "rock", "ladder"),
        shared=True,
        places=("forest", "mountain", "garden", "park", "yard"),
    ),
    Action(
        "selling",
        {"is working": 2.6, "is a seller|are sellers": 3.4, "is doing business": 3.2, "wants money": 2.3},
        {"is a farmer|are farmers": 0.3, "has many customers": 0.4, "is poor": -0.7, "is rich": -1.5},
        posture="stand",
        objects=("flowers", "fruit", "vegetables", "jewelry"),
        shared=True,
        places=("market", "street", "store", "farm"),
    ),
    Action(
        "digging",
        {"is moving dirt": 2.5, "is working": 1.2, "is making a hole": 4.6, "is getting dirty": 2.2},
        {"is looking for something": 0.8, "is planting a tree": -0.3, "is tired": 0.9, "is burying something": 0.1},
        ANY,
        "dig",
        objects=("hole",),
        shared=True,
        places=("garden", "yard", "beach", "field", "farm"),
    ),
    Action(
        "building",
        {"is playing": 2.2, "is making something": 4.7, "is being creative": 2.4, "is playing in the sand": 3.0},
        {"is on vacation": 1.3, "is having fun": 2.2, "is nearly finished": -0.1, "is bored": -1.3},
        posture="sit",
        objects=("sandcastle",),
        shared=True,
        places=("beach", "playground"),
    ),
    Action(
        "shopping",
        {
            "is buying something": 2.1,
            "is looking for something": 1.8,
            "is spending money": 2.0,
            "is a customer|are customers": 3.0,
        },
        {"is buying a gift": -0.3, "is rich": -0.7, "has a list|have lists": 0.5, "needs food": 0.6},
        posture="walk",
        places=("store", "market"),
    ),
    Action(
        "taking",
        {"is using a camera|are using cameras": 2.7, "is taking a photo": 3.9, "is capturing a moment": 2.4},
        {"is on vacation": 0.7, "is a photographer|are photographers": 1.0, "likes art": 0.9, "is lost": -1.8},
        objects=("picture",),
        places=("beach", "park", "mountain", "street", "lake", "garden"),
    ),
)

GROUP_HINTS = {
    "person": {"are friends": 1.2, "know each other": 2.2, "are a family": 0.1, "are strangers": -1.1},
    "child": {"are siblings": 0.1, "are friends": 1.6, "go to the same school": 1.2, "are twins": -1.5},
    "animal": {"are friendly": 1.6, "have the same owner": 1.0, "are brothers": -0.3, "are fighting": -1.8},
}
"""What two or more subjects of a kind are taken for."""

PERSON_HINTS = {"has a job": 1.2, "is alone": 0.4, "is happy": 1.0, "is on vacation": -0.2, "is married": -0.3}
CHILD_HINTS = {"has a parent nearby": 1.9, "is at school": -0.1, "is alone": -1.1, "is in a good mood": 1.1}
ANIMAL_HINTS = {"has an owner": 2.1, "is a pet|are pets": 1.7, "is wild": -1.5, "is hungry": 0.1}
OCCUPATION_HINTS = {"is at work": 1.2, "has a job": 2.7, "is on a break": -0.4, "is retired": -2.3}
OCCUPATIONS = frozenset({"chef", "teacher", "farmer", "nurse", "soldier", "doctor", "waiter", "construction worker"})

HOME = ("living room", "bedroom", "kitchen", "garage")
PASTURES = ("field", "farm", "park", "forest", "beach", "mountain", "street")
LARGE_ANIMALS = frozenset({"horse", "pony", "cow"})
LARGE_ANIMAL_VERBS = frozenset({"running", "walking", "jumping", "standing", "eating", "sleeping"})
CHILDREN = frozenset({"boy", "girl", "child", "toddler"})
ADULT_VERBS = frozenset({"fixing", "selling", "cooking", "shopping", "washing"})
ADULT_OBJECTS = frozenset({"motorcycle", "coffee", "ladder"})
