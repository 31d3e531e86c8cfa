"""A backbone by hub name or local path and an adaptation method become a module that trains."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from peft import PeftModel, PromptLearningConfig, get_peft_model
from peft.utils import TRANSFORMERS_MODELS_TO_LNTUNING_TARGET_MODULES_MAPPING
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from contested.errors import ModelError
from contested.families import Family, family_of, full_attention_limit
from contested.models.checkpoints import (
    declared_config,
    fingerprint,
    head_modules,
    input_limit,
    load_config,
    load_module,
    pinned_revision,
    quantisation_problems,
)
from contested.models.methods import FULL, OTHER_TARGETS, peft_config, tuner_class
from contested.models.random_start import keep_start
from contested.models.tokenizers import first_line, load_tokenizer, sentence
from contested.models.tuner_options import size_problems
from contested.models.vocabulary import READS_LAST_END, vocabulary_notes, vocabulary_problems

_ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer outside the head."""
_PROBLEM_TYPE = "single_label_classification"


class TextModel(NamedTuple):
    """A backbone with its method applied.

    Attributes:
        module: The module to train; its forward returns an object with ``logits`` (B, K).
        tokenizer: The backbone's tokenizer, which has a pad token.
        family: The facts of its architecture: how text becomes input, which token is pooled.
        head: Names of the top-level modules outside the backbone (trained and saved whole).
        trainable_params: Number of weights that train, head included.
        total_params: Number of all weights, adapters included.
        fingerprint: Names the checkpoint's content: a hub commit, or a hash of the local files.
        pad_id: The token that fills batches up, as the model knows it.
        notes: What is to be said of checkpoint and tokenizer, a sentence each.
    """

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase
    family: Family
    head: tuple[str, ...]
    trainable_params: int
    total_params: int
    fingerprint: str
    pad_id: int
    notes: tuple[str, ...] = ()


def build(
    backbone: str,
    *,
    label_names: Sequence[str],
    method: str,
    options: Mapping[str, Any] | None = None,
    max_length: int | None = None,
    revision: str | None = None,
    seed: int = 42,
    checked: bool = False,
) -> TextModel:
    """Load a backbone in float32 and apply a method to it.

    Args:
        backbone: A hub name or a local folder.
        label_names: Class names in the order of the logits, length K.
        method: ``full`` or the name of a PEFT tuner.
        options: The tuner's options (see :func:`contested.models.methods.peft_config`).
        max_length: Longest input in tokens, or None where it does not matter yet.
        revision: A hub branch, tag or commit.
        seed: Decides the initial head and adapter; the global random state is left as it was.
        checked: Whether :func:`preflight` has found nothing for the same.

    Returns:
        The trainable module with its tokenizer.

    Raises:
        ModelError: If something cannot be loaded or does not fit; all incompatibilities at once.
    """
    revision = pinned_revision(backbone, revision)
    needed: dict[str, Any] = {"method": method, "options": options, "max_length": max_length, "revision": revision}
    if not checked and (problems := preflight(backbone, n_classes=len(label_names), **needed)):
        raise ModelError(f"{backbone} cannot be trained with the method {method}:", problems)
    config = load_config(backbone, label_names=label_names, revision=revision)
    declared = declared_config(backbone, revision)
    family = family_of(config.model_type)
    plain_texts = config.model_type in READS_LAST_END
    tokenizer = load_tokenizer(backbone, padding_side=family.padding_side, revision=revision, plain_texts=plain_texts)
    pad_id = _settle_pad(config, tokenizer)
    notes = [*_settle_attention(config), *_settle_problem_type(config)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loaded = load_module(backbone, config, revision, declared=declared, label_names=label_names)
        module: nn.Module = loaded.module
        if method != FULL:
            adapter = peft_config(method, options or {}, family=family, head=loaded.head)
            adapter.revision = revision  # whoever loads the adapter gets the backbone that it was trained on
            module, said = _adapt(loaded.module, adapter, loaded.head)
            notes += said
    module.train()
    return TextModel(
        module=module,
        tokenizer=tokenizer,
        family=family,
        head=loaded.head,
        trainable_params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        total_params=sum(p.numel() for p in module.parameters()),
        fingerprint=fingerprint(backbone, revision),
        pad_id=pad_id,
        notes=(*notes, *loaded.notes, *vocabulary_notes(tokenizer, loaded.module)),
    )


def preflight(
    backbone: str,
    *,
    n_classes: int,
    method: str,
    options: Mapping[str, Any] | None,
    max_length: int | None,
    revision: str | None = None,
) -> list[str]:
    """Find every incompatibility of backbone, method and input length without loading weights.

    Args:
        backbone: A hub name or a local folder.
        n_classes: Number of classes K.
        method: ``full`` or the name of a PEFT tuner.
        options: The tuner's options.
        max_length: Longest input in tokens, or None where it does not matter yet.
        revision: A hub branch, tag or commit.

    Returns:
        One sentence per problem; empty if the parts fit together.
    """
    problems: list[str] = []
    try:
        config = load_config(backbone, label_names=[str(index) for index in range(n_classes)], revision=revision)
        side = family_of(config.model_type).padding_side
        tokenizer = load_tokenizer(backbone, padding_side=side, revision=revision)
        with torch.device("meta"):
            skeleton = AutoModelForSequenceClassification.from_config(config)
    except ImportError as error:  # some architectures need packages of their own
        return [
            f"{backbone} needs a package that is not installed: {first_line(error)}",
            *_unknown_method(method, options or {}),
        ]
    except ModelError as error:
        return [str(error), *_unknown_method(method, options or {})]
    except Exception as error:  # of a config.json whose numbers do not fit together, in words of the library's
        return [
            f"no classifier can be made of the config.json of {backbone}: {sentence(error)} Give a checkpoint "
            "that transformers can classify with, as save_pretrained wrote it",
            *_unknown_method(method, options or {}),
        ]
    problems += quantisation_problems(declared_config(backbone, revision))
    problems += vocabulary_problems(tokenizer, skeleton)
    room = input_limit(config)
    if max_length is not None and room is not None and max_length > room:
        problems.append(f"max_length is {max_length}, but {backbone} reads at most {room} tokens; lower max_length")
    if method != FULL:
        problems += _method_problems(skeleton, config, method, options or {})
    return problems


def _settle_attention(config: PretrainedConfig) -> list[str]:
    """Make BigBird's attention the one that it would change to, for good, at the first text that is not long."""
    limit = full_attention_limit(config.to_dict())
    if limit is None:
        return []
    config.attention_type = "original_full"
    return [
        f"Texts of every length are read with full attention, as this model reads all texts after the first of at most "
        f"{limit} tokens. Load it with attention_type='original_full' where longer ones come first."
    ]


def _settle_pad(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Let model and tokenizer agree on a pad token where the model's configuration names none.

    Args:
        config: The model's configuration; a pad token that it names stays.
        tokenizer: Its tokenizer.

    Returns:
        The pad token's id.
    """
    about = config.get_text_config()
    # RoBERTa counts positions from the pad token that is named, and decoders pool the token before it.
    known = getattr(about, "pad_token_id", None)  # Perceiver's configuration has no such key
    if known is None or known < 0:
        last = tokenizer.pad_token_id
        if tokenizer("a")["input_ids"][-1:] == [last]:
            # Decoders would take an end token that every text has for padding, and pool the token before it.
            others = (tokenizer.bos_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id)
            tokenizer.pad_token_id = next((other for other in others if other not in (None, last)), last)
        about.pad_token_id = tokenizer.pad_token_id
    config.pad_token_id = about.pad_token_id
    return int(about.pad_token_id)


def _settle_problem_type(config: PretrainedConfig) -> list[str]:
    """Make a model one of exclusive classes, which is how a run trains it, and say so where it was of another kind."""
    declared = config.problem_type
    if declared in (None, _PROBLEM_TYPE):
        return []
    config.problem_type = _PROBLEM_TYPE
    return [f"The checkpoint's problem_type {declared!r} is not used: a run chooses one class."]


def _adapt(module: PreTrainedModel, config: Any, head: Sequence[str]) -> tuple[PeftModel, list[str]]:
    """The model with an adapter, and what PEFT warns of: options that it does not use."""
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            adapted = get_peft_model(module, config)
        keep_start(adapted)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each tuner has its own words for what it cannot adapt
        raise ModelError(f"PEFT cannot apply {config.peft_type.value} to this model: {_reason(error)}") from error
    # Prompt-learning configurations have no modules_to_save: their head is part of the task's own wrapper.
    for name, parameter in adapted.named_parameters():
        if not isinstance(config, PromptLearningConfig):
            break
        if any(f".{part}." in f".{name}" for part in head):
            parameter.requires_grad_(True)
    frozen = [part for part in head if not _trains(adapted, part)]
    if frozen:
        raise ModelError(
            f"Under {config.peft_type.value} the head ({', '.join(frozen)}) would stay at its random start; "
            "PEFT does not train it. Choose another method."
        )
    # Names that the libraries are to rename are nothing that a user could do about.
    of_names = FutureWarning | DeprecationWarning | PendingDeprecationWarning
    told = dict.fromkeys(" ".join(str(one.message).split()) for one in raised if not issubclass(one.category, of_names))
    return adapted, [f"PEFT warns: {text}" for text in told]


def _reason(error: BaseException) -> str:
    """PEFT's message on one line: a module that it shows with all its parts is named by its class."""
    text = re.sub(r"\(\n.*?^\)", "", str(error), flags=re.DOTALL | re.MULTILINE)
    return text if text != str(error) and "\n" not in text else first_line(error)


def _trains(module: nn.Module, part: str) -> bool:
    return any(p.requires_grad for name, p in module.named_parameters() if f".{part}." in f".{name}")


def _unknown_method(method: str, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a method, whatever the model."""
    try:
        if method != FULL:
            tuner_class(method, options)
    except ModelError as error:
        return [str(error)]
    return []


def _method_problems(
    skeleton: PreTrainedModel, config: PretrainedConfig, method: str, options: Mapping[str, Any]
) -> list[str]:
    head = head_modules(skeleton)
    try:
        made = peft_config(method, options, family=family_of(config.model_type), head=head)
    except ModelError as error:
        return [str(error)]
    sizes = size_problems(options, skeleton, input_limit(config))
    targets = getattr(made, "target_modules", None)
    if not hasattr(made, "target_modules"):
        return sizes
    names = [name for name, _ in skeleton.named_modules()]
    sizes += _unknown_modules(names, config.model_type, "modules_to_save", options.get("modules_to_save"))
    if isinstance(targets, str) and targets:
        return sizes + _pattern_problems(names, config.model_type, targets)
    if not targets and options.get("target_modules") is not None:
        return [*sizes, "target_modules is empty; leave it out for the architecture's own, or name modules"]
    if not targets:
        return sizes + _missing_targets(skeleton, config.model_type, method.lower(), head)
    if _ALL_LINEAR in targets:
        return [
            *sizes,
            f"target_modules has {_ALL_LINEAR} in a list; give the word alone (target_modules={_ALL_LINEAR})",
        ]
    problems = sizes + _unknown_modules(names, config.model_type, "target_modules", targets)
    in_head = [
        f"the target module {target!r} is in the head ({part}), which is already trained in full"
        for target in sorted(targets)
        for part in head
        if any(name.split(".", 1)[0] == part and (name == target or name.endswith(f".{target}")) for name in names)
    ]
    return problems + in_head


def _unknown_modules(names: Sequence[str], model_type: str, key: str, given: Iterable[str] | None) -> list[str]:
    """A sentence for each name of a module that a model does not have."""
    what = "the target module" if key == "target_modules" else f"{key}: the module"
    return [
        f"{what} {target!r} does not exist in {model_type!r}"
        for target in sorted(given or ())
        if not any(name == target or name.endswith(f".{target}") for name in names)
    ]


def _pattern_problems(names: Sequence[str], model_type: str, pattern: str) -> list[str]:
    """Why a text as target modules adapts nothing."""
    if pattern.lower() == _ALL_LINEAR:
        return []
    try:
        if any(re.fullmatch(pattern, name) for name in names):
            return []
        why = f"matches the whole name of no module in {model_type!r}"
    except re.error as error:
        why = f"is no regular expression ({error})"
    return [
        f"target_modules {pattern!r} {why}; give a list of names ([query, value]), {_ALL_LINEAR}, or a pattern of "
        "whole names ('.*query')"
    ]


def _missing_targets(skeleton: PreTrainedModel, model_type: str, method: str, head: Sequence[str]) -> list[str]:
    """What to give as target modules where there is no default; nothing where PEFT has one."""
    if method in OTHER_TARGETS:
        if method != "ln_tuning" or model_type in TRANSFORMERS_MODELS_TO_LNTUNING_TARGET_MODULES_MAPPING:
            return []
        norms = _leaves(skeleton, head, lambda part: "norm" in type(part).__name__.lower())
        return [f"PEFT knows no norms of {model_type!r}; give target_modules (its norms: {norms})"]
    linear = _leaves(skeleton, head, lambda part: isinstance(part, nn.Linear | Conv1D))
    if not linear:
        return [f"{model_type!r} has no linear layers that PEFT could adapt; train it in full, with method=full"]
    return [f"{model_type!r} has no entry in contested.families; give target_modules (its linear layers: {linear})"]


def _leaves(skeleton: PreTrainedModel, head: Sequence[str], wanted: Callable[[nn.Module], bool]) -> str:
    """Last names of the wanted modules of a backbone; with the one before where the last is a number."""
    found = (name.split(".") for name, part in skeleton.named_modules() if wanted(part))
    inside = [name for name in found if name[0] not in head]
    return ", ".join(sorted({".".join(name[-2:]) if name[-1].isdigit() else name[-1] for name in inside}))
