"""FSDP for adapters: each process keeps a share of the base's frozen weights, and fetches the rest block by block.

Torch's ``fully_shard`` (FSDP2, as Zhao et al., arXiv 2304.11277, by parameter) on the weights that do not learn. The
adapter, which is small, stays whole in every process under Lightning's DDP: so clipping, averages, checkpoints and files
are those of one process. Lightning's own FSDP strategy cannot clip by norm and would write the base into each checkpoint.
"""

from collections.abc import Iterator

import lightning
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel


class SharedBase(lightning.Callback):
    """Shares out the frozen weights of ``networks`` once the processes know each other, before DDP looks at them."""

    def __init__(self, networks: nn.ModuleDict) -> None:
        self._networks = networks

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Shard block by block, so that no more than one block is ever whole."""
        device = trainer.strategy.root_device.type
        mesh = init_device_mesh(device, (trainer.world_size,))
        for network in self._networks.values():
            learning = {weight for weight in network.parameters() if weight.requires_grad}
            for block in (*blocks(network), network):
                fully_shard(block, mesh=mesh, ignored_params=learning)
        frozen = [name for name, weight in pl_module.named_parameters() if not weight.requires_grad]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(pl_module, frozen)  # type: ignore[no-untyped-call]  # noqa: SLF001 - torch has no other way


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The members of the lists that ``network`` itself holds: levels of a UNet, blocks of a transformer."""
    for part in network.children():
        if isinstance(part, nn.ModuleList):
            yield from part
