"""One architecture under one method: a short run of the product, held against transformers and PEFT alone.

Nothing here asks the product whether it is right. A run's last recorded logits are held against those of the saved
model, loaded as its user would load it and asked one text at a time; at perturbed weights, logits and gradients of a
whole batch against the library's own forward, one unpadded text at a time.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tiny
import torch
from numpy.typing import NDArray
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftModel
from pydantic import TypeAdapter
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.pytorch_utils import Conv1D

import contested as ct
from contested import models, tasks, training
from contested.errors import ContestedError
from contested.families import family_of
from contested.models.checkpoints import head_modules
from contested.models.methods import OTHER_TARGETS
from contested.options.methods import Method, method_content
from contested.runs.prepare import method_parts
from contested.tasks.encoding import single_texts

LABELS = ("entailment", "neutral", "contradiction")
CLOSE = 1e-4
"""Logits may differ so much."""
CLOSE_GRADIENTS = 1e-3
"""Gradients may differ so much, beside their own size."""
APART = 0.01
"""Logits of different texts must differ so much; else nothing could be seen to be wrong."""
LENGTH = 64
_ATTENTION = "W?[qv]|(q|kv)_b_proj|query|value|[qv]_(proj|lin)|(query|value|in|qkv)_proj|c_attn|query_key_value|W?qkv"


class Outcome(NamedTuple):
    """What came of a trial.

    Attributes:
        architecture: The ``model_type``.
        method: The method's name in the table of methods.
        outcome: ``right``; ``refused`` in a message; or a fault: ``wrong``, silently, ``traceback``, ``blind``, where
            all logits are so alike that nothing could be seen to be wrong.
        engine: The engine that computed the run; empty where there was none.
        said: What the run said: why it was refused, or why it took a slower engine.
        difference: The largest difference of a logit, of those that were compared.
        gradient: The difference of the gradients, beside their size.
    """

    architecture: str
    method: str
    outcome: str
    engine: str = ""
    said: str = ""
    difference: float | None = None
    gradient: float | None = None

    @property
    def fault(self) -> bool:
        """Whether the product is at fault."""
        return self.outcome not in {"right", "refused"}


def attempt(architecture: str, method: str, options: dict[str, Any], folder: Path) -> Outcome:
    """Try an architecture under a method.

    Args:
        architecture: A ``model_type``.
        method: The name under which the outcome is told.
        options: The content of the section ``method``.
        folder: Empty; what is written lies there.

    Returns:
        What came of it; no error escapes.
    """
    try:
        outcome = _attempt(architecture, method, options, folder)
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f"{'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"
        outcome = Outcome(architecture, method, "traceback", said=f"{where} {type(error).__name__}: {_line(error)}")
    return outcome._replace(said=outcome.said.replace(str(folder / "backbone"), architecture))


def _attempt(architecture: str, method: str, options: dict[str, Any], folder: Path) -> Outcome:
    backbone = folder / "backbone"
    tiny.checkpoint(architecture, backbone)
    given = {**_targets(backbone, options), **options}
    try:
        result = ct.train(
            str(backbone), given, _task(), out=folder / "run", max_length=LENGTH, seed=5,
            training={"learning_rate": 3e-3, "epochs": 1, "batch_size": 8},
            tracking={"every": 2}, execution={"threads": 1, "device": "cpu"},
        )  # fmt: skip
    except ContestedError as error:
        return _refused(architecture, method, error, folder / "run")
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    name, because, excused = _engine(manifest)
    recorded, examples = _last_logits(result.path)
    expected = _as_a_user_gets_them(backbone, result.path, examples)
    differences = [] if excused else [_difference(recorded, expected)]
    logits, gradient = _batch_against_single(backbone, given, examples)
    differences.append(logits)
    worst = max(differences)
    told = Outcome(architecture, method, "right", name, because or excused, worst, gradient)
    if np.ptp(recorded, axis=0).max() < APART:
        return told._replace(outcome="blind")
    right = worst <= CLOSE and gradient <= CLOSE_GRADIENTS
    return told if right else told._replace(outcome="wrong")


def _refused(architecture: str, method: str, error: ContestedError, run: Path) -> Outcome:
    said = " ".join(line.strip().removeprefix("- ") for line in str(error).splitlines())
    begun = any((run / "checkpoints").glob("*.parquet"))
    return Outcome(architecture, method, "refused", said=("after it began: " if begun else "") + said)


def _task() -> Any:
    """Twelve annotated pairs of different lengths, and as many more to train on."""
    rng = np.random.default_rng(3)

    def sentence(most: int) -> str:
        return " ".join(rng.choice(tiny.WORDS, rng.integers(1, most)))

    rows = [(sentence(5 + i % 12), sentence(4 + i % 7)) for i in range(24)]
    fields = pd.DataFrame(rows[:12], columns=["premise", "hypothesis"])
    counts = np.stack([rng.multinomial(20, peak) for peak in rng.dirichlet([0.5] * 3, 12)])
    annotated = ct.Annotations(tuple(f"e{i}" for i in range(12)), counts, LABELS, fields, "made")
    bulk = pd.DataFrame(rows[12:], columns=["premise", "hypothesis"])
    bulk.insert(0, "example_id", [f"b{i}" for i in range(12)])
    bulk["label"] = [LABELS[i % 3] for i in range(12)]
    return ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=12)


def _targets(backbone: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The modules to adapt that a user would name, where the product has no default for an architecture."""
    kind = options["name"].upper()
    accepted = PEFT_TYPE_TO_CONFIG_MAPPING.get(kind)
    norms = kind == "LN_TUNING"
    family = family_of(AutoConfig.from_pretrained(backbone).model_type)
    if accepted is None or "target_modules" in options or (family.lora_targets and not norms):
        return {}
    if "target_modules" not in accepted.__dataclass_fields__ or options["name"] in OTHER_TARGETS - {"ln_tuning"}:
        return {}
    try:
        with torch.device("meta"):
            skeleton = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(backbone))
    except ImportError:  # a package that this architecture needs is not installed; the product is to say so
        return {}
    wanted = _is_norm if norms else _is_linear
    names = [name for name, part in skeleton.named_modules() if wanted(part) and not name.rsplit(".", 1)[-1].isdigit()]
    head = head_modules(skeleton)
    inside = {name.rsplit(".", 1)[-1] for name in names if name.split(".", 1)[0] not in head}
    outside = {name.rsplit(".", 1)[-1] for name in names if name.split(".", 1)[0] in head}
    named = {name for name in inside if re.fullmatch(_ATTENTION, name)} or inside
    chosen = sorted(named - outside)
    return {"target_modules": chosen, **({"feedforward_modules": []} if kind == "IA3" else {})} if chosen else {}


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear | Conv1D | nn.Conv1d)


def _is_norm(part: nn.Module) -> bool:
    return "norm" in type(part).__name__.lower()


def _engine(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """The engine of a run, why it is not a faster one, and why the saved weights were not checked."""
    checks = manifest.get("checks", {})
    engine = checks.get("engine", {})
    return (
        engine.get("name") or manifest["provenance"]["batches"],
        engine.get("because") or "",
        checks.get("weights", {}).get("not_checked") or "",
    )


def _last_logits(run: Path) -> tuple[NDArray[np.float32], pd.DataFrame]:
    found = ct.Trajectory.load(run)
    assert found.logits is not None
    return found.logits[-1], found.examples


def _texts(examples: pd.DataFrame, template: str | None) -> Iterator[tuple[str, ...]]:
    columns = examples[["premise", "hypothesis"]]
    if template is not None:
        yield from ((text,) for text in single_texts(columns, template))
    else:
        yield from columns.itertuples(index=False, name=None)


def _as_a_user_gets_them(backbone: Path, run: Path, examples: pd.DataFrame) -> NDArray[np.float32]:
    """Logits of a saved model, loaded by the libraries alone, one text at a time; shape (N, K)."""
    torch.manual_seed(99)  # another process has drawn other numbers
    if (run / "adapter").is_dir():
        saved = run / "adapter"
        base = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=len(LABELS))
        module = PeftModel.from_pretrained(base, saved)
    else:
        saved = run / "model"
        module = AutoModelForSequenceClassification.from_pretrained(saved)
    tokenizer = AutoTokenizer.from_pretrained(saved)
    template = family_of(AutoConfig.from_pretrained(backbone).model_type).template
    module.eval()
    with torch.no_grad():
        rows = [
            module(**tokenizer(*text, return_tensors="pt", truncation=True, max_length=LENGTH)).logits[0]
            for text in _texts(examples, template)
        ]
    return np.stack([row.numpy() for row in rows])


def _batch_against_single(backbone: Path, options: dict[str, Any], examples: pd.DataFrame) -> tuple[float, float]:
    """Differences of a batch's logits and gradients from those of its texts alone, at perturbed weights."""
    made = [_built(backbone, options) for _ in range(2)]
    texts = tasks.encode(
        made[0].tokenizer, examples[["premise", "hypothesis"]], max_length=LENGTH, template=made[0].family.template
    )
    together, alone = (built.module for built in made)
    pad_id = int(made[0].tokenizer.pad_token_id)
    where: Any = {"pad_id": pad_id, "device": torch.device("cpu")}
    engine = training.proven_engine(together, training.Beginning.of(together, texts, **where), **where).engine
    together.eval()
    rows = np.arange(len(texts))
    found = _gradients(together, lambda: engine.logits(texts, rows))
    expected = _gradients(alone, lambda: torch.cat([_alone(alone, texts, row) for row in rows]))
    return _difference(found[0], expected[0]), _distance(found[1], expected[1])


def _built(backbone: Path, options: dict[str, Any]) -> models.TextModel:
    name, chosen = method_parts(TypeAdapter(Method).validate_python(method_content(options)))
    built = models.build(str(backbone), label_names=LABELS, method=name, options=chosen, max_length=LENGTH, seed=5)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.module.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return built


def _alone(module: nn.Module, texts: tasks.EncodedTexts, row: int) -> torch.Tensor:
    span = slice(texts.offsets[row], texts.offsets[row + 1])
    given = {"input_ids": texts.input_ids[span], "attention_mask": np.ones_like(texts.input_ids[span])}
    if texts.token_type_ids is not None:
        given["token_type_ids"] = texts.token_type_ids[span]
    inputs = {name: torch.from_numpy(ids.astype(np.int64))[None] for name, ids in given.items()}
    logits: torch.Tensor = module.eval()(**inputs).logits
    return logits


def _gradients(module: nn.Module, compute: Callable[[], torch.Tensor]) -> tuple[Any, dict[str, torch.Tensor]]:
    logits = compute()
    labels = torch.arange(len(logits)) % logits.shape[1]
    torch.nn.functional.cross_entropy(logits, labels).backward()
    found = {name: part.grad for name, part in module.named_parameters() if part.grad is not None}
    return logits.detach().numpy(), found


def _difference(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


def _distance(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all gradients together, beside their norm."""
    names = found.keys() | expected.keys()
    apart = sum(
        float((found.get(name, torch.zeros(())) - expected.get(name, torch.zeros(()))).square().sum()) for name in names
    )
    return float((apart / sum(float(part.square().sum()) for part in expected.values())) ** 0.5)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
