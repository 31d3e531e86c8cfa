"""The items of an annotated set, without any model: what is sure of them, what is not, and what to do next."""
