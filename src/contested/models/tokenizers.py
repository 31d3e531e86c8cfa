"""A backbone's tokenizer, and what to do where it cannot be loaded."""

from __future__ import annotations

import importlib.util

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from contested.errors import ModelError, installation
from contested.hub import hub_reason
from contested.models.vocabulary import no_words

_SENTENCEPIECE = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}
"""Package to module: what transformers reads a tokenizer with that is a SentencePiece model alone."""
_SAVE = "Save the tokenizer that belongs to the checkpoint into its folder (tokenizer.save_pretrained)."

_SAYS_LITTLE = (AssertionError, AttributeError, LookupError, TypeError)
"""Errors whose text alone says little."""


def load_tokenizer(
    backbone: str, *, padding_side: str, revision: str | None = None, plain_texts: bool = False
) -> PreTrainedTokenizerBase:
    """Load a backbone's tokenizer, with the end token as pad token where there is none.

    Args:
        backbone: A hub name or a local folder.
        padding_side: ``left`` or ``right``.
        revision: A hub branch, tag or commit.
        plain_texts: Whether special tokens that stand in a text are read as its letters.

    Returns:
        The tokenizer.

    Raises:
        ModelError: If it cannot be loaded, knows no words, or has neither a pad nor an end token.
    """
    given = {"split_special_tokens": True} if plain_texts else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            backbone, revision=revision, padding_side=padding_side, trust_remote_code=False, **given
        )
        tokenizer("a", "a")  # settings of another kind than they should be show where a text is read
    except Exception as error:  # a damaged file ends in any error of the library's
        reason = _missing_package(error) or _missing_files(error) or first_line(error)
        raise ModelError(f"Cannot load the tokenizer of {backbone!r}: {reason}") from error
    if no_words(tokenizer):
        raise ModelError(
            f"The tokenizer of {backbone!r} knows no words: its files are missing "
            f"({', '.join(sorted({*tokenizer.vocab_files_names.values(), 'tokenizer.json'}))}). {_SAVE}"
        )
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"The tokenizer of {backbone!r} has neither a pad nor an end token; set pad_token in its folder."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def first_line(error: BaseException) -> str:
    """The message of another library's error, without its advice on calls that are not the user's."""
    if "custom code" in str(error) or "trust_remote_code" in str(error):
        return (
            "it needs Python code of its own (auto_map in its config.json), which is never run here. Give a "
            "checkpoint whose architecture transformers has."
        )
    reason = hub_reason(error)
    if reason:
        return reason
    first, *rest = str(error).strip().splitlines() or [""]
    said = f"{first} {rest[0].strip()}" if rest and first.endswith(":") else first
    return f"{type(error).__name__}: {said}" if isinstance(error, _SAYS_LITTLE) else said


def sentence(error: BaseException) -> str:
    """:func:`first_line` with a full stop, to be followed by what to do."""
    said = first_line(error)
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _missing_files(error: BaseException) -> str:
    """That vocabulary files are missing; empty where that is not what failed."""
    said = str(error)
    if "instantiate the backend tokenizer" not in said and "`vocab` and `merges`" not in said:
        return ""
    return (
        f"its files are missing or incomplete (tokenizer.json, or its vocabulary and, of some kinds, merges). {_SAVE}"
    )


def _missing_package(error: BaseException) -> str:
    """Which package a SentencePiece model wants; empty where that is not what failed.

    Where one is missing, transformers takes the model for a file of tiktoken's and asks for that package instead.
    """
    if not any(name in str(error).lower() for name in ("tiktoken", *_SENTENCEPIECE)):
        return ""
    missing = [package for package, module in _SENTENCEPIECE.items() if not _installed(module)]
    if not missing:
        return ""
    return (
        f"a tokenizer that is a SentencePiece model alone needs {' and '.join(missing)}, not installed here. "
        f"Install it with: {installation('train')}"
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package whose parent is missing
        return False
