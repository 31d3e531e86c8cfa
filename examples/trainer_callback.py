"""Record a transformers.Trainer of your own: python examples/trainer_callback.py OUT."""

import sys
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

import contested as ct
from contested.demo import ENCODER_PATH, make_world


def main(out: Path) -> ct.Analysis:
    """Train with a Trainer, recording into ``out/run``."""
    world = make_world(n_annotated=200, n_bulk=400, seed=0)  # yours: ct.read_annotations("annotated.jsonl"), …
    names, tokenizer = list(world.annotated.label_names), AutoTokenizer.from_pretrained(ENCODER_PATH)
    classifier = AutoModelForSequenceClassification.from_pretrained(ENCODER_PATH, num_labels=len(names))
    model = get_peft_model(classifier, LoraConfig("SEQ_CLS", target_modules=["query", "value"], r=4))
    bulk = tokenizer(list(world.bulk["premise"]), list(world.bulk["hypothesis"]))
    train = Dataset.from_dict({**bulk, "labels": [names.index(label) for label in world.bulk["label"]]})
    texts = [list(world.annotated.fields[name]) for name in ("premise", "hypothesis")]
    tracked = {**tokenizer(*texts), "id": world.annotated.example_ids, "labels": world.annotated.majority}
    options = {"annotations": world.annotated, "label_names": names, "split": "validation"}  # not in the training set
    callback = ct.TrajectoryCallback(tracked, out / "run", every=10, **options)
    args = TrainingArguments(str(out / "trainer"), num_train_epochs=1, learning_rate=1e-3, report_to=[], use_cpu=True)
    Trainer(model, args, train_dataset=train, processing_class=tokenizer, callbacks=[callback]).train()
    return ct.analyze(ct.Trajectory.load(out / "run"))


if __name__ == "__main__":
    print(*ct.statements(main(Path(sys.argv[1]))), sep="\n")
