"""Checkpoints by hub name or local path: configuration, weights, content."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME, cached_file
from transformers.utils import logging as hf_logging
from transformers.utils.hub import extract_commit_hash

from contested import families
from contested.errors import ModelError
from contested.hub import hub_reason
from contested.models.heads import settle_head
from contested.models.tokenizers import sentence
from contested.wording import counted, listed

_QUANTISATION = ("quantization_config", "compression_config")
_QUANTISED = re.compile(r"\.(SCB|weight_format|absmax|quant_map|qweight|qzeros|scales|g_idx|weight_scale\w*)$")
"""Endings of what a file of quantised weights holds beside them."""
_HOLDS_ADAPTER = (
    "{backbone} holds a PEFT adapter (adapter_config.json), and a run begins with a whole model. Give the backbone of "
    "the adapter, or merge the two (PeftModel's merge_and_unload) and save that into a folder of its own."
)
_IN_A_LAYER = re.compile(r"(^|\.)(layers?|h|blocks?)\.\d+\.")
_OLD_BUFFERS = re.compile(r"\.(attn|attention)\.(masked_)?bias$|\.inv_freq$|\.position_ids$")
"""What older files hold that models now compute."""


class Loaded(NamedTuple):
    """A classifier with its weights.

    Attributes:
        module: The classifier.
        head: Its modules that are not of the checkpoint: the head, and a pooler where it brings none.
        notes: What is to be said of it, a sentence each.
    """

    module: PreTrainedModel
    head: tuple[str, ...]
    notes: tuple[str, ...]


def pinned_revision(backbone: str, revision: str | None) -> str | None:
    """The commit that a revision of a hub checkpoint stands for now, so that all that is loaded is of one commit.

    Args:
        backbone: A hub name or a local folder.
        revision: A hub branch, tag or commit; None for the default branch.

    Returns:
        The commit's id; of a local folder, and of what cannot be found, the revision itself.
    """
    if _looks_local(backbone):
        return revision
    try:
        file = cached_file(backbone, CONFIG_NAME, revision=revision)
    except Exception:
        return revision  # what loads the configuration says why
    return extract_commit_hash(file, None) or revision


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
    local = _looks_local(backbone)
    if local:
        _check_folder(backbone)
    try:
        with quiet():
            config: PretrainedConfig = AutoConfig.from_pretrained(
                backbone,
                revision=revision,
                trust_remote_code=False,
                num_labels=len(label_names),
                id2label=dict(enumerate(label_names)),
                label2id={name: index for index, name in enumerate(label_names)},
            )
    except Exception as error:  # what a config.json says may end in any error of the library's
        advice = (
            "Give its config.json as save_pretrained wrote it."
            if local
            else "Give a hub name that this machine can reach or has cached, or a local folder."
        )
        raise ModelError(f"Cannot load the backbone {backbone!r}: {sentence(error)} {advice}") from error
    return with_named_outputs(config)


def with_named_outputs(config: PretrainedConfig) -> PretrainedConfig:
    """Let a model give what it computes by name, whatever form its configuration asks for."""
    for part in (config, config.get_text_config()):
        part.return_dict, part.torchscript = True, False
    return config


def _check_folder(backbone: str) -> None:
    """Refuse a path that is no folder of one whole model."""
    folder = Path(backbone).expanduser()
    if (folder / ADAPTER_CONFIG).exists():
        raise ModelError(_HOLDS_ADAPTER.format(backbone=backbone))
    if not folder.exists():
        raise ModelError(f"{backbone} does not exist. Give a folder that save_pretrained wrote, or a hub name.")
    if not (folder / CONFIG_NAME).is_file():
        raise ModelError(
            f"{backbone} is not a checkpoint folder: there is no config.json in it. Give a folder that "
            "save_pretrained wrote, or a hub name such as roberta-base."
        )


def declared_config(backbone: str, revision: str | None = None) -> dict[str, Any]:
    """Content of a checkpoint's config.json as it is written there; its :func:`load_config` succeeded before.

    Args:
        backbone: A hub name or a local folder.
        revision: A hub branch, tag or commit.

    Returns:
        Keys and values.
    """
    declared: dict[str, Any] = PretrainedConfig.get_config_dict(backbone, revision=revision)[0]
    return declared


def quantisation_problems(declared: Mapping[str, Any]) -> list[str]:
    """One sentence where a config.json says that its weights are quantised, whether they are or not."""
    found = next((declared[key] for key in _QUANTISATION if declared.get(key) is not None), None)
    if found is None:
        return []
    method = found.get("quant_method") if isinstance(found, Mapping) else None
    return [
        f"its config.json declares quantised weights ({method or 'of no named method'}), and a run trains weights in "
        "float32; give the checkpoint that was not quantised, or remove quantization_config where its weights are not"
    ]


def input_limit(config: PretrainedConfig) -> int | None:
    """Longest input in tokens, or None where the architecture sets no limit."""
    # The class of a configuration knows keys by other names too, and their defaults.
    about = config.get_text_config()
    known = {key: getattr(about, key, None) for key in ("max_position_embeddings", "pad_token_id")}
    return families.input_limit({"model_type": config.model_type, **known})


def fingerprint(backbone: str, revision: str | None) -> str:
    """Name the content of a checkpoint: its hub commit (from :func:`pinned_revision`), or a hash of its local files."""
    folder = Path(backbone).expanduser()
    if not folder.is_dir():
        return f"hub:{backbone}@{revision}"
    digest = hashlib.sha256()
    kinds = {".json", ".safetensors", ".bin", ".txt", ".model"}
    for file in sorted(file for file in folder.iterdir() if file.suffix in kinds):
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:32]}"


def load_module(
    backbone: str,
    config: PretrainedConfig,
    revision: str | None,
    *,
    declared: Mapping[str, Any],
    label_names: Sequence[str],
) -> Loaded:
    """Load a backbone with a classifier on it in float32.

    Args:
        backbone: A hub name or a local folder.
        config: From :func:`load_config`.
        revision: A hub branch, tag or commit.
        declared: From :func:`declared_config`.
        label_names: Class names in the order of the logits, length K.

    Returns:
        The classifier, its head drawn from torch's random state unless the checkpoint has one for these classes.

    Raises:
        ModelError: If the weights cannot be loaded, or are not those of the architecture.
    """
    before = torch.get_rng_state()
    module, info = _loaded(backbone, config, revision)
    if getattr(module, "_hf_peft_config_loaded", False):  # of a hub repository, or it was refused before
        raise ModelError(_HOLDS_ADAPTER.format(backbone=backbone))
    head = head_modules(module)
    unused = sorted(info["unexpected_keys"])
    quantised = [name for name in unused if _QUANTISED.search(name)]
    if quantised:
        raise ModelError(
            f"The weights of {backbone!r} are quantised ({quantised[0]}), which its config.json does not say, so that "
            "they would be read as what they are not. Give the checkpoint that was not quantised."
        )
    fresh_pooler = _check_backbone(backbone, module, info, head)
    _check_numbers(backbone, module)
    fresh = (*head, fresh_pooler) if fresh_pooler else head
    absent = [*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])]
    said = settle_head(
        module,
        head,
        absent=info["missing_keys"],
        lacking=sorted(name for name in absent if name.startswith(tuple(f"{part}." for part in fresh))),
        declared=declared,
        label_names=label_names,
        random_state=before,
    )
    notes = ([said] if said else []) + _unused_layers(unused)
    return Loaded(module, fresh, tuple(notes))


def _loaded(backbone: str, config: PretrainedConfig, revision: str | None) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The library's classifier, and what it says of loading it."""
    try:
        with quiet():
            module, info = AutoModelForSequenceClassification.from_pretrained(
                backbone,
                config=config,
                revision=revision,
                trust_remote_code=False,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            return module, info
    except Exception as error:  # damaged weights, or sizes that do not fit together, in words of the library's
        advice = "" if hub_reason(error) else " Give the folder as save_pretrained wrote it."
        raise ModelError(f"Cannot load the weights of {backbone!r}: {sentence(error)}{advice}") from error


def _check_backbone(backbone: str, module: PreTrainedModel, info: Mapping[str, Any], head: Sequence[str]) -> str:
    """Name of a pooler that the checkpoint lacks, or empty; an error where it lacks anything else of the backbone."""
    absent = _backbone_only(info["missing_keys"], head)
    absent += _backbone_only([entry[0] for entry in info["mismatched_keys"]], head)
    # A BERT-like checkpoint may come without the pooler, which then belongs to what is learned from scratch.
    pooler = f"{module.base_model_prefix}.pooler"
    fresh_pooler = [name for name in absent if name.startswith(pooler + ".")]
    absent = [name for name in absent if name not in fresh_pooler]
    if absent and not head:
        raise ModelError(
            f"{backbone!r} brings no head for these classes, and a {type(module).__name__} has its head inside its "
            f"backbone ({absent[0]}), where a run does not make one. Choose another checkpoint."
        )
    if absent:
        total = len(module.base_model.state_dict())
        raise ModelError(
            f"{backbone!r} is not a checkpoint of the architecture {module.config.model_type!r} that its config.json "
            f"names: {len(absent)} of {total} backbone weights are missing or of another size, "
            f"first {absent[0]}. Give the folder of one whole checkpoint."
        )
    return pooler if fresh_pooler else ""


def _check_numbers(backbone: str, module: PreTrainedModel) -> None:
    """Refuse weights with NaN or infinity in them, from which every number of a run would be none."""
    # A sum is read faster than compared; it may also be too large, and then each number decides.
    suspects = ((name, w.detach()) for name, w in module.named_parameters() if not w.detach().sum().isfinite())
    wrong = [name for name, weight in suspects if not weight.isfinite().all()]
    if wrong:
        raise ModelError(
            f"{counted(len(wrong), 'weight')} of {backbone!r} {'holds' if len(wrong) == 1 else 'hold'} NaN or infinity "
            f"({listed(wrong)}), as after a training that diverged. Give a checkpoint whose weights are numbers."
        )


def _unused_layers(unused: Sequence[str]) -> list[str]:
    found = [name for name in unused if _IN_A_LAYER.search(name) and not _OLD_BUFFERS.search(name)]
    if not found:
        return []
    return [
        f"{counted(len(found), 'weight')} of the checkpoint's layers not used, as the layers that its config.json "
        f"describes lack them (first {found[0]}): check that it belongs to these weights."
    ]


def head_modules(module: PreTrainedModel) -> tuple[str, ...]:
    """Names of the top-level modules with weights outside the backbone (``classifier``, ``score``, a pooler, …)."""
    return tuple(
        name
        for name, child in module.named_children()
        if name != module.base_model_prefix and any(True for _ in child.parameters())
    )


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


def _backbone_only(names: Sequence[str], head: Sequence[str]) -> list[str]:
    return sorted(name for name in names if name.split(".", 1)[0] not in head)


def _looks_local(backbone: str) -> bool:
    return backbone.startswith((".", "/", "~")) or backbone.count("/") > 1 or Path(backbone).is_dir()
