import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contested.demo import ENCODER_PATH
from contested.demo.world import ANNOTATED_MIXTURE, captions, make_world, sentence_pairs

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SCRIPT = Path(__file__).parents[2] / "scripts" / "pretrain_demo_encoder.py"
PAIR = ("A dog is running in a park.", "An animal is outdoors.")


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(ENCODER_PATH)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_pretrained(ENCODER_PATH, num_labels=3).eval()


def test_the_folder_is_small():
    sizes = {path.name: path.stat().st_size for path in ENCODER_PATH.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= sizes.keys()
    assert sum(sizes.values()) < 4_000_000


def test_the_tokenizer_is_fast_and_knows_every_word_of_the_world(tokenizer):
    assert tokenizer.is_fast
    world = make_world(n_annotated=50 * len(ANNOTATED_MIXTURE), n_bulk=1, seed=11).annotated.fields
    texts = [*captions(3000, seed=5), *world["premise"], *world["hypothesis"]]
    pairs = [" ".join(pair) for pair in sentence_pairs(3000, seed=5)]
    ids = np.concatenate(tokenizer([*texts, *pairs])["input_ids"])
    assert (ids != tokenizer.unk_token_id).all()
    assert tokenizer("A zebra.")["input_ids"].count(tokenizer.unk_token_id) == 1


def test_a_pair_is_two_segments_of_whole_words(tokenizer):
    encoded = tokenizer(*PAIR)
    words = "[CLS] a dog is running in a park . [SEP] an animal is outdoors . [SEP]"
    assert " ".join(tokenizer.convert_ids_to_tokens(encoded["input_ids"])) == words
    assert encoded["token_type_ids"] == [0] * 10 + [1] * 6
    padded = tokenizer([PAIR, ("A dog.", "A cat.")], padding=True)
    assert padded["attention_mask"][1].count(0) == 16 - 9


def test_the_longest_pair_fits(tokenizer):
    pairs = sentence_pairs(5000, seed=8)
    longest = max(map(len, tokenizer([p for p, _ in pairs], [h for _, h in pairs])["input_ids"]))
    assert longest <= tokenizer.model_max_length == 64


def test_it_loads_as_a_classifier_in_float32_with_finite_logits(tokenizer, classifier):
    with torch.no_grad():
        logits = classifier(**tokenizer([PAIR, PAIR], padding=True, return_tensors="pt")).logits
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_its_weights_are_stored_in_half_precision():
    from safetensors import safe_open

    with safe_open(ENCODER_PATH / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        assert {weights.get_tensor(name).dtype for name in names} == {torch.float16}
        assert not any("classifier" in name or name.startswith("cls") for name in names)


def test_it_is_a_plain_bert_with_dropout_for_fine_tuning():
    config = json.loads((ENCODER_PATH / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["hidden_dropout_prob"] == 0.1
    assert config["dtype"] == "float32"


def test_it_is_pretrained(tokenizer, classifier):
    """Embeddings of words used alike are alike, which random ones of 128 dimensions (sd 0.09) are not."""
    table = classifier.bert.embeddings.word_embeddings.weight.detach()

    def likeness(a, b):
        rows = table[tokenizer.convert_tokens_to_ids([a, b])]
        return torch.nn.functional.cosine_similarity(rows[0], rows[1], dim=0).item()

    alike = [("red", "blue"), ("terrier", "labrador"), ("nurse", "doctor"), ("park", "beach"), ("shirt", "jacket")]
    unlike = [("red", "the"), ("terrier", "sleeping"), ("nurse", "kitchen"), ("park", "two"), ("shirt", "dog")]
    # The mean of five random likenesses has sd 0.04; a difference of two such means, 0.055.
    assert np.mean([likeness(*pair) for pair in alike]) > np.mean([likeness(*pair) for pair in unlike]) + 0.2


@pytest.mark.slow
def test_pretraining_is_reproducible(tmp_path):
    for name in ("first", "second"):
        options = ["--steps", "30", "--texts", "3000", "--no-probe", "--out", str(tmp_path / name)]
        subprocess.run([sys.executable, str(SCRIPT), *options], check=True, capture_output=True)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name
