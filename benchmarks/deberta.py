"""A training step of DeBERTa-v3's layers (base size, random weights) against the usual way.

python benchmarks/deberta.py --model TOKENIZER_FOLDER --pairs snli_train.jsonl --layers 3
"""

from __future__ import annotations

import tempfile

import transformers
from step import Ours
from workload import BATCH, Apart, UsualWay, alternate, arguments, pairs, show


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--layers", type=int, default=3, help="layers of the model")
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn, the first not counted")
    given = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.model)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=768, num_hidden_layers=given.layers, num_attention_heads=12,
        intermediate_size=3072, relative_attention=True, position_buckets=256, pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm", share_att_key=True, type_vocab_size=0, position_biased_input=False,
        max_relative_positions=-1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    table = pairs(given.pairs, given.steps * BATCH + 1)
    train, tracked = table.iloc[:-1], table.iloc[-1:]
    with tempfile.TemporaryDirectory() as folder:
        transformers.DebertaV2Model(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        settings = (folder, "lora", given.threads, train, tracked)
        contestants = {
            "HF Trainer, padded to 128": Apart(UsualWay, *settings, width=128, steps=given.steps),
            "HF Trainer, tuned": Apart(UsualWay, *settings, width=None, steps=given.steps),
            "contested": Apart(Ours, *settings),
        }
        times = alternate({name: each.steps for name, each in contestants.items()}, given.rounds)
        for each in contestants.values():
            each.close()
    show(f"training step, {given.layers} layers, lora, {given.threads} thread(s) (ms)", times, next(iter(contestants)))


if __name__ == "__main__":
    main()
