"""The words of the demo's world: what there is, what it implies, what people guess from it.

Every number is a log-odds of "given the caption, is this so?" for a reader who takes caption and
hypothesis to speak of the same scene: 5 is certain, 0 is open, -5 is excluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "pink", "orange", "purple", "gray")
GARMENTS = ("shirt", "jacket", "hat", "coat", "sweater", "uniform", "helmet", "scarf")
COUNTS = {2: "two", 3: "three", 4: "four"}

OPPOSITES = {"young": "old", "old": "young", "tall": "short", "short": "tall", "big": "small", "small": "big"}
"""Adjective -> the one it excludes."""

REWORDED_ADJECTIVES = {
    "young": {"is a student|are students": 0.2, "is less than thirty": 2.2, "is under eighteen": -1.0},
    "old": {"is retired": 1.6, "is elderly": 2.8, "is over fifty": 2.3, "is weak": -1.6, "has gray hair": 1.5},
    "tall": {"is above average height": 2.6, "is over six feet tall": 1.2, "plays basketball": -1.1},
    "short": {"is below average height": 2.6, "is small": 1.4, "is under five feet tall": 0.0},
    "small": {"is young": 0.9, "is tiny": 1.9, "is light": 1.7, "is dangerous": -2.3},
    "big": {"is heavy": 2.2, "is huge": 1.9, "is strong": 1.5, "is dangerous": -0.8, "is old": -0.8},
}
"""Adjective -> predicates that a reader may take for the same or not."""


@dataclass(frozen=True)
class Noun:
    """A kind of person, animal or thing; no plural marks a mass noun.

    Attributes:
        name: The singular.
        plural: The plural; "" for a mass noun.
        above: Hypernyms, nearest first; all of them hold.
        below: Narrower kinds and how likely each is.
        others: Kinds that it cannot also be.
    """

    name: str
    plural: str = ""
    above: tuple[str, ...] = ()
    below: dict[str, float] = field(default_factory=dict)
    others: tuple[str, ...] = ()


_ADULT_OTHERS = ("child", "dog", "cat")
_CHILD = {"boy": 0.1, "girl": 0.0}


def _worker(name: str, plural: str, man: float) -> Noun:
    return Noun(name, plural, ("adult", "person"), {"man": man, "woman": -man}, _ADULT_OTHERS)


PEOPLE = (
    Noun("man", "men", ("adult", "person"), {"father": -0.4, "teacher": -1.2}, ("woman", "boy", "girl")),
    Noun("woman", "women", ("adult", "person"), {"mother": -0.2, "teacher": -1.1}, ("man", "girl", "boy")),
    Noun("boy", "boys", ("child", "person"), {"toddler": -0.8, "student": 0.9}, ("girl", "man", "woman")),
    Noun("girl", "girls", ("child", "person"), {"toddler": -0.8, "student": 0.9}, ("boy", "woman", "man")),
    Noun("child", "children", ("person",), _CHILD, ("man", "woman", "dog")),
    Noun("toddler", "toddlers", ("child", "person"), {**_CHILD, "baby": 0.7}, ("man", "woman", "teenager")),
    Noun("teenager", "teenagers", ("person",), {**_CHILD, "child": 0.2, "student": 1.5}, ("toddler", "baby")),
    Noun("student", "students", ("person",), {"man": -0.3, "woman": 0.0, "teenager": 0.9}, ("toddler", "dog")),
    Noun("person", "people", ("human",), {"man": 0.2, "woman": 0.1, "child": -1.2}, ("dog", "cat", "horse")),
    _worker("chef", "chefs", 0.3),
    _worker("teacher", "teachers", -0.5),
    _worker("farmer", "farmers", 0.9),
    _worker("nurse", "nurses", -1.1),
    _worker("soldier", "soldiers", 1.2),
    _worker("doctor", "doctors", 0.2),
    _worker("waiter", "waiters", 1.4),
    _worker("musician", "musicians", 0.4),
    _worker("tourist", "tourists", 0.0),
    _worker("construction worker", "construction workers", 1.7),
)
_BREEDS = {"poodle": -0.8, "terrier": -0.6, "labrador": -0.3, "puppy": 0.0}
ANIMALS = (
    Noun("dog", "dogs", ("animal",), _BREEDS, ("cat", "horse", "bird")),
    Noun("poodle", "poodles", ("dog", "animal"), {"puppy": -0.5}, ("terrier", "labrador", "cat")),
    Noun("terrier", "terriers", ("dog", "animal"), {"puppy": -0.5}, ("poodle", "labrador", "cat")),
    Noun("labrador", "labradors", ("dog", "animal"), {"puppy": -0.5}, ("poodle", "terrier", "horse")),
    Noun("puppy", "puppies", ("dog", "animal"), {"labrador": -0.6, "poodle": -0.9}, ("cat", "horse", "kitten")),
    Noun("cat", "cats", ("animal",), {"kitten": 0.0}, ("dog", "horse", "bird")),
    Noun("kitten", "kittens", ("cat", "animal"), {}, ("dog", "puppy", "horse")),
    Noun("horse", "horses", ("animal",), {"pony": -0.3}, ("dog", "cat", "cow")),
    Noun("pony", "ponies", ("horse", "animal"), {}, ("dog", "cat", "cow")),
    Noun("cow", "cows", ("animal",), {}, ("horse", "dog", "sheep")),
)
_ABSTRACT = (
    Noun("adult", "adults"),
    Noun("human", "humans"),
    Noun("animal", "animals"),
    Noun("sheep", "sheep"),
    Noun("bird", "birds"),
    Noun("baby", "babies"),
    Noun("father", "fathers"),
    Noun("mother", "mothers"),
)
_THINGS = (
    Noun("guitar", "guitars", ("instrument",), others=("piano", "violin")),
    Noun("violin", "violins", ("instrument",), others=("guitar", "trumpet")),
    Noun("trumpet", "trumpets", ("instrument",), others=("guitar", "violin")),
    Noun("piano", "pianos", ("instrument",), others=("guitar", "trumpet")),
    Noun("instrument", "instruments", below={"guitar": 0.0, "violin": -0.8, "trumpet": -0.9}),
    Noun("soccer", "", ("sport",), others=("tennis", "chess")),
    Noun("basketball", "", ("sport",), others=("soccer", "tennis")),
    Noun("tennis", "", ("sport",), others=("soccer", "basketball")),
    Noun("sport", "sports", below={"soccer": 0.3, "tennis": -0.7}),
    Noun("chess", "", ("game",), others=("soccer", "basketball")),
    Noun("game", "games", below={"chess": -0.4}),
    Noun("bike", "bikes", ("vehicle",), others=("horse", "motorcycle")),
    Noun("motorcycle", "motorcycles", ("vehicle",), others=("horse", "bike")),
    Noun("scooter", "scooters", ("vehicle",), others=("horse", "bike")),
    Noun("vehicle", "vehicles", below={"bike": 0.2, "motorcycle": -0.2}),
    Noun("car", "cars", ("vehicle",), {"taxi": -1.6}, ("bike", "motorcycle")),
    Noun("taxi", "taxis", ("car", "vehicle")),
    Noun("pizza", "", ("food",), others=("soup", "cake", "fruit")),
    Noun("sandwich", "sandwiches", ("food",), others=("soup", "pizza", "cake")),
    Noun("apple", "apples", ("fruit", "food"), others=("sandwich", "cake")),
    Noun("banana", "bananas", ("fruit", "food"), others=("sandwich", "apple")),
    Noun("fruit", "", ("food",), {"apple": -0.2, "banana": -0.4}, ("pizza", "cake")),
    Noun("cake", "", ("dessert", "food"), others=("soup", "pizza")),
    Noun("ice cream", "", ("dessert", "food"), others=("soup", "pizza")),
    Noun("soup", "", ("food",), others=("pizza", "cake")),
    Noun("fish", "", ("food",), others=("cake", "soup")),
    Noun("dessert", "", ("food",), {"cake": 0.2, "ice cream": 0.2}),
    Noun("food", "", below={"pizza": -0.9, "fruit": -0.7}),
    Noun("coffee", "", ("hot drink",), others=("water", "juice")),
    Noun("tea", "", ("hot drink",), others=("water", "juice")),
    Noun("water", "", others=("coffee", "juice")),
    Noun("juice", "", others=("coffee", "water")),
    Noun("hot drink", "hot drinks", below={"coffee": 0.8, "tea": 0.0}),
    Noun("ball", "balls", ("toy",), others=("stick", "frisbee")),
    Noun("frisbee", "frisbees", ("toy",), others=("ball", "stick")),
    Noun("stick", "sticks", others=("ball", "frisbee")),
    Noun("kite", "kites", others=("ball", "frisbee")),
    Noun("toy", "toys", below={"ball": 0.5}),
    Noun("book", "books", below={"novel": 0.4, "textbook": -0.3}, others=("newspaper", "magazine")),
    Noun("newspaper", "newspapers", others=("book", "magazine")),
    Noun("magazine", "magazines", others=("book", "newspaper")),
    Noun("novel", "novels"),
    Noun("textbook", "textbooks"),
    Noun("laptop", "laptops", ("computer",), others=("phone",)),
    Noun("phone", "phones", others=("laptop", "computer")),
    Noun("computer", "computers", below={"laptop": 0.8}),
    Noun("bench", "benches", others=("couch", "bed")),
    Noun("couch", "couches", ("furniture",), others=("bench", "bed")),
    Noun("chair", "chairs", ("furniture",), others=("bench", "couch")),
    Noun("bed", "beds", ("furniture",), others=("bench", "chair")),
    Noun("furniture", "", below={"couch": 0.0, "chair": 0.3}),
    Noun("wall", "walls", others=("fence", "picture")),
    Noun("fence", "fences", others=("wall", "picture")),
    Noun("picture", "pictures", below={"portrait": -0.4}, others=("wall", "fence")),
    Noun("portrait", "portraits"),
    Noun("box", "boxes", ("container",), others=("bag", "ladder")),
    Noun("bag", "bags", ("container",), {"backpack": 0.0}, ("box", "ladder")),
    Noun("basket", "baskets", ("container",), others=("ladder", "box")),
    Noun("container", "containers", below={"box": 0.3, "basket": -0.4}),
    Noun("backpack", "backpacks"),
    Noun("ladder", "ladders", others=("tree", "rock")),
    Noun("tree", "trees", others=("rock", "ladder")),
    Noun("rock", "rocks", below={"cliff": 0.4}, others=("tree", "ladder")),
    Noun("cliff", "cliffs"),
    Noun("flowers", "", ("plants",), {"roses": 0.1}, ("vegetables", "jewelry")),
    Noun("roses", ""),
    Noun("plants", "", below={"flowers": 1.2}),
    Noun("vegetables", "", ("food",), {"carrots": -0.3}, ("flowers", "jewelry")),
    Noun("carrots", ""),
    Noun("jewelry", "", others=("flowers", "vegetables")),
    Noun("movie", "movies", below={"comedy": -0.4}, others=("game",)),
    Noun("comedy", "comedies"),
    Noun("hole", "holes"),
    Noun("sandcastle", "sandcastles"),
    Noun("song", "songs"),
)
NOUNS = {noun.name: noun for noun in (*PEOPLE, *ANIMALS, *_ABSTRACT, *_THINGS)}


@dataclass(frozen=True)
class Place:
    """Where a scene is set.

    Attributes:
        name: The noun alone.
        phrase: The noun with its preposition.
        outdoors: Log-odds of being outdoors; negative is indoors.
        hints: Guesses that it suggests, with their log-odds.
        near: Places that may be the same spot.
    """

    name: str
    phrase: str
    outdoors: float
    hints: dict[str, float] = field(default_factory=dict)
    near: tuple[str, ...] = ()


_WARM = {"it is sunny": 1.3, "it is raining": -2.2, "it is daytime": 2.1, "it is a weekend": 0.3}
PLACES = {
    place.name: place
    for place in (
        Place("park", "in a park", 4.5, {**_WARM, "it is spring": -0.3}, ("playground", "garden")),
        Place("beach", "at the beach", 5, {**_WARM, "it is summer": 1.9, "the ocean is near": 2.9}, ("lake",)),
        Place("street", "on a street", 4.5, {"there are cars nearby": 2.1, "this is in a city": 1.7}, ("sidewalk",)),
        Place("sidewalk", "on a sidewalk", 4.5, {"this is in a city": 1.6, "it is daytime": 1.5}, ("street",)),
        Place("forest", "in a forest", 5, {"there are trees nearby": 4.5, "it is quiet": 1.4}, ("mountain",)),
        Place("field", "in a field", 5, {"it is sunny": 1.1, "there is grass": 2.6}, ("farm", "park")),
        Place("garden", "in a garden", 4, {"there are flowers nearby": 2.3, "it is sunny": 1.2}, ("yard", "park")),
        Place("yard", "in the yard", 4.2, {"there is a house nearby": 2.7, "it is sunny": 1.0}, ("garden",)),
        Place("playground", "at a playground", 4, {"there are children nearby": 2.2, **_WARM}, ("park",)),
        Place("lake", "at a lake", 5, {"there is water nearby": 4.8, "it is a holiday": 0.7}, ("beach", "forest")),
        Place("mountain", "on a mountain", 5, {"it is cold": 0.8, "it is a holiday": 0.8}, ("forest",)),
        Place("parking lot", "in a parking lot", 3.4, {"there are cars nearby": 2.9}, ("street",)),
        Place(
            "farm", "on a farm", 2.4, {"there are animals nearby": 2.4, "this is in the countryside": 2.8}, ("field",)
        ),
        Place("market", "at a market", 1.5, {"it is crowded": 1.6, "it is daytime": 1.8}, ("street",)),
        Place("stadium", "in a stadium", 1.0, {"there is a crowd": 2.0, "there is a game": 1.7}, ("field",)),
        Place("train station", "at a train station", 0.0, {"a train is coming": 1.2, "it is crowded": 1.2}),
        Place("kitchen", "in a kitchen", -5, {"there is food nearby": 2.5, "this is in a house": 1.2}, ("restaurant",)),
        Place("restaurant", "in a restaurant", -2.9, {"it is dinner time": 0.7, "there is music": 0.4}, ("cafe",)),
        Place("cafe", "at a cafe", -1.6, {"it is morning": 0.4, "it is crowded": 0.3}, ("restaurant",)),
        Place("office", "in an office", -5, {"it is a weekday": 1.7, "it is a weekend": -1.6}, ("library",)),
        Place("classroom", "in a classroom", -5, {"this is in a school": 2.7, "it is a weekday": 1.8}, ("library",)),
        Place("library", "in a library", -5, {"it is quiet": 2.2, "there are books nearby": 4.0}, ("office",)),
        Place("living room", "in a living room", -5, {"this is in a house": 2.2, "it is evening": 0.5}, ("bedroom",)),
        Place("bedroom", "in a bedroom", -5, {"it is night": 0.7, "there is a bed nearby": 3.3}, ("living room",)),
        Place("store", "in a store", -4, {"it is crowded": 0.1, "there are things for sale": 3.2}, ("market",)),
        Place("gym", "in a gym", -4.5, {"it is crowded": 0.0, "there is music": 1.0}),
        Place("garage", "in a garage", -2.6, {"there are tools nearby": 1.9, "there are cars nearby": 1.7}),
        Place("hospital", "in a hospital", -4.5, {"somebody is sick": 2.1, "there is an emergency": -0.3}),
    )
}
OUTDOORS = tuple(place.name for place in PLACES.values() if place.outdoors > 2)
