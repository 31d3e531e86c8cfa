"""The frozen weights of a model spread over the processes that train it together, for one larger than a device."""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from contested.models.methods import base_model


def shard_frozen(module: nn.Module, device: torch.device) -> None:
    """Spread frozen weights over all processes, layer by layer (FSDP 2); what trains stays whole in each of them.

    A layer's weights are put together while it computes. So every process must call the model as often as any other.

    Args:
        module: The model, in the host's memory, the same in every process.
        device: This process's device.
    """
    kinds = set(base_model(module)._no_split_modules or ())
    layers = [part for part in module.modules() if type(part).__name__ in kinds]
    trained = {parameter for parameter in module.parameters() if parameter.requires_grad}
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for part in (*layers, module):
        fully_shard(part, mesh=mesh, ignored_params=trained, reshard_after_forward=True)
    for parameter in trained:
        parameter.data = parameter.data.to(device)
