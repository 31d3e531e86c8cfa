"""The items of an annotated set, without any model: what is sure of them, what is not, and what to do next."""

from contested.analysis.items.analyze import ItemMap, map_items
from contested.analysis.items.facts import FACTS, Fact

__all__ = ["FACTS", "Fact", "ItemMap", "map_items"]
