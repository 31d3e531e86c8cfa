"""Every table of a map, one declaration each."""

from __future__ import annotations

from contested.analysis.items.analyze import ASKED_ITEMS
from contested.formats import CHANGE, COUNT, NATS, SHARE
from contested.report.declarations import Column, Section, Table

SHOWN = 200
"""Most rows of a table that the page shows."""

SECTIONS = (
    Section("categories", "How many items are clean, and how many contested?"),
    Section("label-errors", "Which labels are likely errors?"),
    Section("contested-items", "Where do people really disagree?"),
    Section("annotators", "How reliable is each annotator?"),
    Section("ask-next", "Which items to ask about next?"),
    Section("reading", "What was read"),
)

_CATEGORY = Column("category", "category")
_VOTES = Column("n_annotators", "votes", COUNT)

TABLES = (
    Table(
        "categories", "categories", "categories", "Items by category",
        "Expected: the number of items whose distribution behind the votes is in the category, by their probabilities. "
        "Where it is far from the number of items, the votes are too few to tell.",
        (
            _CATEGORY,
            Column("n_items", "items", COUNT),
            Column("share", "share", SHARE),
            Column("expected", "expected", COUNT),
            Column("probability", "mean probability", SHARE),
        ),
    ),
    Table(
        "label_errors", "label_errors", "label-errors", "Likely label errors",
        f"At most {SHOWN} are shown here, all of them are in tables/label_errors.csv. Slip: probability that all votes "
        "for the label are slips. Genuine: probability that at least two classes have a vote that is no slip.",
        (
            Column("example_id", "item"),
            Column("label", "label"),
            Column("votes", "votes for it", COUNT),
            _VOTES,
            Column("annotators", "given by"),
            Column("majority", "majority"),
            Column("slip_probability", "slip", SHARE),
            Column("genuine_disagreement", "genuine", SHARE),
        ),
        folded=True,
    ),
    Table(
        "annotators", "annotators", "annotators", "Annotators, the least reliable first",
        "Dissent: share of the votes, where most of the others chose one class, for another class. Slips: share of the "
        "votes that by the model have nothing to do with the item, with its {confidence} interval. Whoever sees all "
        "items differently from everyone else looks like one who slips. Agreement: mean share of the others who gave "
        "the same label; κ: that beyond chance. Without: what mean H and α would gain without the annotator's votes.",
        (
            Column("annotator", "annotator"),
            Column("n_votes", "votes", COUNT),
            Column("dissent", "dissent", SHARE),
            Column("slip_rate", "slips", SHARE, "slip_rate_low", "slip_rate_high"),
            Column("agreement", "agreement", SHARE),
            Column("agreement_kappa", "κ", NATS),
            Column("label_entropy_nats", "own entropy (nats)", NATS),
            Column("entropy_change_nats", "mean H without (nats)", CHANGE),
            Column("alpha_change", "α without", CHANGE),
        ),
    ),
    Table(
        "ask_next", "ask_next", "ask-next", "Items where one more vote tells most",
        f"The {ASKED_ITEMS} first. A vote tells: the mutual information of the next vote and the category. Ask: up to "
        "three who slip least of those who have not voted on the item.",
        (
            Column("example_id", "item"),
            _CATEGORY,
            _VOTES,
            Column("next_vote_information", "a vote tells (nats)", NATS),
            Column("ask", "ask"),
        ),
        folded=True,
    ),
    Table(
        "reading", "reading", "reading", "The file",
        columns=(Column("part", "part"), Column("found", "found")),
    ),
    Table("items", "items", "", "Items"),
)  # fmt: skip
