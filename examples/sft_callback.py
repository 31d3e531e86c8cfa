"""Record TRL's SFTTrainer on a task told as text, packed: python examples/sft_callback.py OUT (contested[trl])."""

import sys
from pathlib import Path

from datasets import Dataset
from tokenizers.processors import Sequence
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed
from trl import SFTConfig, SFTTrainer

import contested as ct
from contested.demo import ENCODER_PATH, make_world

WORDS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}


def main(out: Path) -> ct.Analysis:
    """Train a tiny decoder with TRL, recording into ``out/run``."""
    world = make_world(n_annotated=200, n_bulk=400, seed=0)  # yours: ct.read_annotations("annotated.jsonl"), …
    tokenizer = AutoTokenizer.from_pretrained(ENCODER_PATH, eos_token="[SEP]")
    tokenizer.backend_tokenizer.post_processor = Sequence([])  # an encoder's; yours has none
    tokenizer.add_tokens(list(WORDS.values()))
    set_seed(0)  # yours: a pretrained model, with an adapter or without; this one learns the words and no more
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    pairs = {"bulk": world.bulk, "tracked": world.annotated.fields}
    prompts = {name: list(table["premise"] + " " + table["hypothesis"] + " ") for name, table in pairs.items()}
    train = Dataset.from_dict({"prompt": prompts["bulk"], "completion": list(world.bulk["label"].map(WORDS))})
    rows = {"id": world.annotated.example_ids, "prompt": prompts["tracked"], "label": world.annotated.majority}
    rows["split"] = ["validation"] * len(rows["id"])  # not in the training set
    tracked = ct.Completions(rows, tokenizer, labels=WORDS, annotations=world.annotated)
    numbers = {"learning_rate": 3e-3, "num_train_epochs": 3, "packing": True, "max_length": 256}
    args = SFTConfig(str(out / "trainer"), **numbers, report_to=[], use_cpu=True, bf16=False)
    callback = ct.TrajectoryCallback(tracked, out / "run", every=5)
    SFTTrainer(model, args, train_dataset=train, processing_class=tokenizer, callbacks=[callback]).train()
    return ct.analyze(ct.Trajectory.load(out / "run"))


if __name__ == "__main__":
    print(*ct.statements(main(Path(sys.argv[1]))), sep="\n")
