"""The embedded demo: a generated world and a small encoder that has read its text."""

from pathlib import Path

from contested.demo.world import World, make_world

ENCODER_PATH = Path(__file__).parent / "encoder"
"""Folder of the embedded encoder; ``AutoTokenizer`` and ``AutoModel…`` load it."""

__all__ = ["ENCODER_PATH", "World", "make_world"]
