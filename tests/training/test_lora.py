"""Linear layers without gradients: one product each, and nothing of the layer changes."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from contested.training.lora import linears, product_of


def adapted(**options: Any) -> Any:
    """A linear layer of 6 inputs and 4 outputs with LoRA of rank 2, in eval mode."""
    torch.manual_seed(0)
    model = peft.get_peft_model(
        nn.Sequential(nn.Linear(6, 4)), peft.LoraConfig(target_modules=["0"], r=2, lora_dropout=0.5, **options)
    )
    layer: Any = model.base_model.model[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer.eval()


ROWS = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))


def counted(layer: Any, rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """What the layer gives, and how many products go over the rows."""
    products: list[int] = []

    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is F.linear:
                products.append(len(args[0]))
            return function(*args, **(kwargs or {}))

    with torch.no_grad(), Counted():
        (found,) = linears([layer], rows)
    return found, products.count(len(rows))


def test_many_rows_take_one_product_and_the_weight_stays() -> None:
    layer = adapted()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with torch.no_grad():
        expected = layer(ROWS)
    found, products = counted(layer, ROWS)
    torch.testing.assert_close(found, expected)
    assert products == 1
    assert not layer.merged
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_few_rows_go_through_the_adapter() -> None:
    # To add s B A to a weight of 6 inputs costs as much as six rows do.
    layer = adapted()
    found, products = counted(layer, ROWS[:6])
    torch.testing.assert_close(found, layer(ROWS[:6]))
    assert products == 3  # W, A and B


@pytest.mark.parametrize("case", ["training", "hook", "dora", "bias", "half", "two adapters", "disabled"])
def test_what_is_more_than_a_product_stays_the_layers_own(case: str) -> None:
    layer = adapted(**{"dora": {"use_dora": True}, "bias": {"lora_bias": True}}.get(case, {}))
    if case == "training":
        layer.train()
    if case == "hook":
        layer.lora_A["default"].register_forward_hook(lambda *_: None)
    if case == "half":
        layer.to(torch.bfloat16)
    if case == "two adapters":
        layer.update_layer("second", r=2, lora_alpha=2, config=peft.LoraConfig(init_lora_weights=False))
        layer.set_adapter(["default", "second"])
    if case == "disabled":
        layer.enable_adapters(False)
    rows = ROWS.to(torch.bfloat16) if case == "half" else ROWS
    with torch.no_grad():
        torch.manual_seed(3)
        (found,) = linears([layer], rows)
        torch.manual_seed(3)
        assert torch.equal(found, layer(rows))
    assert product_of(layer) is None
