"""A backbone by hub name or local path and an adaptation method become a module that trains."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel, PromptLearningConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from contested.errors import ModelError
from contested.families import Family, family_of
from contested.models.methods import FULL, peft_config
from contested.models.tokenizers import first_line, load_tokenizer


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
    """

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase
    family: Family
    head: tuple[str, ...]
    trainable_params: int
    total_params: int
    fingerprint: str


def build(
    backbone: str,
    *,
    label_names: Sequence[str],
    method: str,
    options: Mapping[str, Any] | None = None,
    max_length: int | None = None,
    revision: str | None = None,
    seed: int = 42,
) -> TextModel:
    """Load a backbone in float32 and apply a method to it.

    Args:
        backbone: A hub name or a local folder.
        label_names: Class names in the order of the logits, length K.
        method: ``full`` or the name of a PEFT tuner.
        options: The tuner's options (see :func:`contested.models.methods.peft_config`).
        max_length: Longest input in tokens that it shall read, or None where it does not matter yet.
        revision: A hub branch, tag or commit.
        seed: Decides the initial head and adapter; the global random state is left as it was.

    Returns:
        The trainable module with its tokenizer.

    Raises:
        ModelError: If something cannot be loaded or does not fit; all incompatibilities at once.
    """
    problems = preflight(
        backbone,
        n_classes=len(label_names),
        method=method,
        options=options,
        max_length=max_length,
        revision=revision,
    )
    if problems:
        raise ModelError(f"{backbone} cannot be trained with the method {method}:", problems)
    config = load_config(backbone, label_names=label_names, revision=revision)
    family = family_of(config.model_type)
    tokenizer = load_tokenizer(backbone, padding_side=family.padding_side, revision=revision)
    config.pad_token_id = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module, head = _load_module(backbone, config, revision)
        if method != FULL:
            module = _adapt(module, peft_config(method, options or {}, family=family, head=head), head)
    module.train()
    return TextModel(
        module=module,
        tokenizer=tokenizer,
        family=family,
        head=head,
        trainable_params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        total_params=sum(p.numel() for p in module.parameters()),
        fingerprint=fingerprint(backbone, config),
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
        One sentence a problem; empty if the parts fit together.
    """
    problems: list[str] = []
    try:
        config = load_config(backbone, label_names=[str(index) for index in range(n_classes)], revision=revision)
        side = family_of(config.model_type).padding_side
        tokenizer = load_tokenizer(backbone, padding_side=side, revision=revision)
        with torch.device("meta"):
            skeleton = AutoModelForSequenceClassification.from_config(config)
    except (ModelError, ValueError) as error:
        return [str(error)]
    if tokenizer.pad_token_id >= config.vocab_size:
        problems.append(
            f"the tokenizer's pad token {tokenizer.pad_token!r} has the id {tokenizer.pad_token_id}, but the model "
            f"has {config.vocab_size} embeddings; save the tokenizer that belongs to this checkpoint"
        )
    room = input_limit(config)
    if max_length is not None and room is not None and max_length > room:
        problems.append(f"max_length is {max_length}, but {backbone} reads at most {room} tokens; lower max_length")
    if method != FULL:
        problems += _method_problems(skeleton, config, method, options or {})
    return problems


def load_config(backbone: str, *, label_names: Sequence[str], revision: str | None = None) -> PretrainedConfig:
    """Load a backbone's configuration with the classes set to ``label_names``.

    Args:
        backbone: A hub name or a local folder.
        label_names: Class names in the order of the logits, length K.
        revision: A hub branch, tag or commit.

    Returns:
        The configuration.

    Raises:
        ModelError: If there is no such checkpoint or transformers has no classifier for it.
    """
    if _looks_local(backbone) and not (Path(backbone).expanduser() / "config.json").is_file():
        raise ModelError(
            f"{backbone} is no checkpoint folder: there is no config.json in it. Give a folder that "
            "save_pretrained wrote, or a hub name such as roberta-base."
        )
    try:
        return AutoConfig.from_pretrained(
            backbone,
            revision=revision,
            num_labels=len(label_names),
            id2label=dict(enumerate(label_names)),
            label2id={name: index for index, name in enumerate(label_names)},
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"Cannot load the backbone {backbone!r}: {first_line(error)} "
            "Give a hub name that this machine can reach or has cached, or a local folder."
        ) from error


def input_limit(config: PretrainedConfig) -> int | None:
    """Longest input in tokens, or None where the architecture sets no limit."""
    positions: int | None = getattr(config, "max_position_embeddings", None)
    if positions is not None and family_of(config.model_type).positions_after_pad:
        return positions - (config.pad_token_id or 0) - 1
    return positions


def fingerprint(backbone: str, config: PretrainedConfig) -> str:
    """Name the content of a checkpoint: its hub commit, or a hash over its local files."""
    folder = Path(backbone).expanduser()
    if not folder.is_dir():
        return f"hub:{backbone}@{getattr(config, '_commit_hash', None)}"
    digest = hashlib.sha256()
    kinds = {".json", ".safetensors", ".bin", ".txt", ".model"}
    for file in sorted(file for file in folder.iterdir() if file.suffix in kinds):
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:32]}"


def save(module: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save an adapter (PEFT format, head included) or a whole model, with its tokenizer."""
    with quiet():
        module.save_pretrained(folder)  # type: ignore[operator]
        tokenizer.save_pretrained(folder)


def load_trained(module: nn.Module, folder: Path) -> None:
    """Load what :func:`save` wrote into a module that :func:`build` made of the same parts.

    Args:
        module: The module, on any device; of no use after an error.
        folder: The folder of an adapter or of a whole model.

    Raises:
        ModelError: If the folder holds no readable weights, others than the module has, or not all that trained.
    """
    if not folder.is_dir():
        raise ModelError(f"There are no trained weights: {folder} is no folder. Give the folder as it was saved.")
    try:
        with quiet():
            problems = _load_adapter(module, folder) if isinstance(module, PeftModel) else _load_whole(module, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"Cannot load the trained weights from {folder}: {first_line(error)} Give the folder as it was saved."
        ) from error
    if problems:
        raise ModelError(f"The weights in {folder} are not those that this model trains:", problems)


def _load_adapter(module: PeftModel, folder: Path) -> list[str]:
    saved = load_file(folder / "adapter_model.safetensors")
    wanted = get_peft_model_state_dict(module)
    problems = [f"{name} is missing" for name in wanted.keys() - saved.keys()]
    problems += [f"{name} is not part of it" for name in saved.keys() - wanted.keys()]
    problems += [
        f"{name} has the shape {tuple(saved[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in saved.keys() & wanted.keys()
        if saved[name].shape != wanted[name].shape
    ]
    if problems:
        return sorted(problems)
    # What stays NaN trained, but was not saved. Prompt methods mark the head's unused original as trained too.
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad and ".original_module." not in name}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.fill_(torch.nan)
    set_peft_model_state_dict(module, saved)
    return [f"{name} trained, but PEFT does not save it" for name, p in trained.items() if p.isnan().any()]


def _load_whole(module: nn.Module, folder: Path) -> list[str]:
    loaded, info = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    problems = [f"{name} is missing" for name in info["missing_keys"]]
    problems += [f"{name} is not part of it" for name in info["unexpected_keys"]]
    if not problems:
        module.load_state_dict(loaded.state_dict())
    return sorted(problems)


def _load_module(
    backbone: str, config: PretrainedConfig, revision: str | None
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    try:
        with quiet():
            module, info = AutoModelForSequenceClassification.from_pretrained(
                backbone,
                config=config,
                revision=revision,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"Cannot load the weights of {backbone!r}: {first_line(error)}") from error
    head = head_modules(module)
    absent = _backbone_only(info["missing_keys"], head)
    absent += _backbone_only([entry[0] for entry in info["mismatched_keys"]], head)
    # A BERT-like checkpoint may come without the pooler, which then belongs to what is learned from scratch.
    pooler = f"{module.base_model_prefix}.pooler"
    fresh_pooler = [name for name in absent if name.startswith(pooler + ".")]
    absent = [name for name in absent if name not in fresh_pooler]
    if absent:
        total = len(module.base_model.state_dict())
        raise ModelError(
            f"{backbone!r} is not a checkpoint of the architecture {config.model_type!r} that its config.json "
            f"names: {len(absent)} of {total} backbone weights are missing or of another size, "
            f"first {absent[0]}. Give the folder of one whole checkpoint."
        )
    return module, ((*head, pooler) if fresh_pooler else head)


def head_modules(module: PreTrainedModel) -> tuple[str, ...]:
    """Names of the top-level modules with weights outside the backbone (``classifier``, ``score``, a pooler, …)."""
    return tuple(
        name
        for name, child in module.named_children()
        if name != module.base_model_prefix and any(True for _ in child.parameters())
    )


def _adapt(module: PreTrainedModel, config: Any, head: Sequence[str]) -> PeftModel:
    try:
        with warnings.catch_warnings():
            # peft still asks for a name that transformers has renamed; nothing a user could do about.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            adapted = get_peft_model(module, config)
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise ModelError(f"PEFT cannot apply {config.peft_type.value} to this model: {first_line(error)}") from error
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
    return adapted


def _trains(module: nn.Module, part: str) -> bool:
    return any(p.requires_grad for name, p in module.named_parameters() if f".{part}." in f".{name}")


def _method_problems(
    skeleton: PreTrainedModel, config: PretrainedConfig, method: str, options: Mapping[str, Any]
) -> list[str]:
    head = head_modules(skeleton)
    try:
        made = peft_config(method, options, family=family_of(config.model_type), head=head)
    except ModelError as error:
        return [str(error)]
    targets = getattr(made, "target_modules", None)
    if not hasattr(made, "target_modules") or isinstance(targets, str):
        return []
    names = [name for name, _ in skeleton.named_modules()]
    if not targets:
        linear = {name.rsplit(".", 1)[-1] for name, m in skeleton.named_modules() if isinstance(m, nn.Linear)}
        return [
            f"{config.model_type!r} has no entry in contested.families; give target_modules "
            f"(its linear layers: {', '.join(sorted(linear))})"
        ]
    problems = [
        f"the target module {target!r} is nowhere in {config.model_type!r}"
        for target in sorted(targets)
        if not any(name == target or name.endswith(f".{target}") for name in names)
    ]
    in_head = [
        f"the target module {target!r} is in the head ({part}), which is trained whole already"
        for target in sorted(targets)
        for part in head
        if any(name.split(".", 1)[0] == part and (name == target or name.endswith(f".{target}")) for name in names)
    ]
    return problems + in_head


def _backbone_only(names: Sequence[str], head: Sequence[str]) -> list[str]:
    return sorted(name for name in names if name.split(".", 1)[0] not in head)


def _looks_local(backbone: str) -> bool:
    return backbone.startswith((".", "/", "~")) or backbone.count("/") > 1 or Path(backbone).is_dir()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' loading report and progress bars off the terminal: a fresh head is what is wanted."""
    level = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
