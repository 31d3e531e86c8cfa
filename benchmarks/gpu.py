"""Steps of models of true size with random weights on a GPU: eager, captured as graphs, and several runs stacked.

python benchmarks/gpu.py --model roberta-base --precision bfloat16
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
import transformers
from peft import LoraConfig, TaskType, get_peft_model
from workload import BATCH, flop_counter, gemm_rate

from contested.tasks import EncodedTexts
from contested.training import PackedEngine, Recipe, StackedEngine, TrainingLoop, TrainingSet, track
from contested.training.steps import CudaGraphs, Steps

STEPS, PASSES, TRACKED, RUNS = 3315, 39, 1211, 54
MODELS: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "roberta-base": lambda: transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, num_labels=3, pad_token_id=1
    ),
    "qwen2.5-1.5b": lambda: transformers.Qwen2Config(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, max_position_embeddings=4096, num_labels=3, pad_token_id=0,
    ),
    "tiny": lambda: transformers.RobertaConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=514, type_vocab_size=1, num_labels=3, pad_token_id=1,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="roberta-base", help="size of the model")
    parser.add_argument("--method", choices=["lora", "full"], default="lora", help="LoRA r4 or all weights")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16", help="of products")
    parser.add_argument("--stacks", type=int, nargs="*", default=[1, 3, 9, 18], help="LoRA runs trained together")
    parser.add_argument("--steps", type=int, default=200, help="steps per turn; the first half is not counted")
    parser.add_argument("--device", default="cuda", help="cpu only to try the script itself")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    dtype = torch.bfloat16 if given.precision == "bfloat16" else torch.float32
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    rate = gemm_rate([(4096, 4096, 4096)], dtype, device=device)
    print(f"{name}, torch {torch.__version__}, {given.model}, {given.method}, {given.precision}: "
          f"products of 4096 at {rate / 1e12:.1f} TFLOP/s")  # fmt: skip

    capture = None if device.type == "cpu" else CudaGraphs()
    flops = None
    for size, capture in dict.fromkeys([(1, None), *((size, capture) for size in given.stacks)]):
        if size > 1 and given.method == "full":
            continue
        loops = [made(given, device, seed) for seed in range(size)]
        engine = loops[0].engine if size == 1 else stacked(loops, given, device)
        advance = Steps(loops, engine, device=device, capture=capture)
        if flops is None:
            with flop_counter() as counter:
                Steps(loops, engine, device=device)([0])
            flops = counter.get_total_flops()
        seconds = timed(advance, size, given.steps, device)
        started = time.perf_counter()
        track(loops[0].engine, loops[0].module, loops[0].data.tracked, batch_size=256)
        whole = STEPS * seconds + PASSES * (time.perf_counter() - started)
        kind = "eager" if capture is None else "graphs"
        share = 100 * flops / seconds / rate
        print(f"  {size:2d} run(s), {kind:6}: {1e3 * seconds:7.2f} ms per step and run, {share:4.0f} % of the rate; "
              f"a paper run {whole:6.1f} s, {RUNS} of them {RUNS * whole / 60:6.1f} min")  # fmt: skip
        del loops, engine, advance


def made(given: argparse.Namespace, device: torch.device, seed: int) -> TrainingLoop:
    """A run over texts as long as SNLI's."""
    torch.manual_seed(0)
    # peft still asks for a name that transformers has renamed.
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
    with torch.device(device):
        module = transformers.AutoModelForSequenceClassification.from_config(MODELS[given.model]())
    if given.method == "lora":
        targets = ["query", "value"] if hasattr(module, "roberta") else ["q_proj", "v_proj"]
        module = get_peft_model(
            module, LoraConfig(task_type=TaskType.SEQ_CLS, r=4, lora_alpha=8, lora_dropout=0.05, target_modules=targets)
        )
    engine = PackedEngine(module, device=device, precision=given.precision)
    rng = np.random.default_rng(seed)
    n = given.steps * BATCH
    none = np.zeros(0, np.int64)
    data = TrainingSet(
        train=texts(rng, n), train_targets=rng.integers(0, 3, n), tracked=texts(rng, TRACKED),
        tracked_targets=np.zeros(TRACKED, np.int64), validation=texts(rng, 0), validation_targets=none,
    )  # fmt: skip
    recipe = Recipe(epochs=1, batch_size=BATCH, seed=seed, precision=given.precision)
    loop = TrainingLoop(module, engine, data, recipe)
    module.train()
    return loop


def texts(rng: np.random.Generator, n: int) -> EncodedTexts:
    lengths = rng.lognormal(3.2, 0.33, n).clip(8, 80).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return EncodedTexts(rng.integers(3, 400, offsets[-1]).astype(np.int32), offsets, None, 0)


def stacked(loops: list[TrainingLoop], given: argparse.Namespace, device: torch.device) -> StackedEngine:
    return StackedEngine([loop.module for loop in loops], device=device, precision=given.precision)


def timed(advance: Steps, size: int, steps: int, device: torch.device) -> float:
    """Seconds of a step of one run: the median of ten pieces of the second half."""
    waits = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    ends = []
    for step in range(steps):
        advance([step] * size)
        if step >= steps // 2 and step % max(1, steps // 20) == 0:
            waits()
            ends.append((time.perf_counter(), step))
    return statistics.median((b - a) / (m - k) / size for (a, k), (b, m) in itertools.pairwise(ends))


if __name__ == "__main__":
    main()
