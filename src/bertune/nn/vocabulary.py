"""The compact vocabulary: training updates only the rows of the word embedding table that the texts use.

All other rows have a zero gradient at every step, so AdamW leaves their moments at zero and multiplies them
by `1 - lr * weight_decay`. These factors are applied one by one before the whole table is read, with the
rounding of dense training. The reference implementation is a plain embedding; the whole table is saved.

Dimensions: V tokens in the vocabulary, U of them used, H hidden size.
"""

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from bertune.nn.device import give_back_pages

_BLOCK = 2**19  # elements updated at a time, so that they stay in the cache while all factors are applied


class CompactEmbedding(nn.Module):
    """An embedding table whose parameter `weight` [U, H] holds only the used rows."""

    def __init__(self, table: nn.Embedding, ids_U: Tensor) -> None:
        super().__init__()
        self._whole_VH = table.weight.detach()  # used rows are outdated until `whole` is called
        self._ids_U = ids_U
        # An unused token maps past the end, so that looking it up is an error.
        self._rows_V = torch.full((table.num_embeddings,), len(ids_U), device=ids_U.device)
        self._rows_V[ids_U] = torch.arange(len(ids_U), device=ids_U.device)
        self._factors: list[float] = []
        self.weight = nn.Parameter(self._whole_VH[ids_U], requires_grad=table.weight.requires_grad)
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        self.padding_idx = None if table.padding_idx is None else int(self._rows_V[table.padding_idx])

    def rows(self, ids_T: Tensor) -> Tensor:
        """The rows of `weight` for token IDs."""
        return self._rows_V[ids_T]

    def forward(self, ids_T: Tensor) -> Tensor:
        return embedding(self.rows(ids_T), self.weight, self.padding_idx)

    def note_step(self, lr: float, weight_decay: float) -> None:
        """Record the weight decay that an optimizer step applies to the unused rows."""
        if lr * weight_decay:
            self._factors.append(1 - lr * weight_decay)

    def whole(self) -> Tensor:
        """The whole table [V, H], as after dense training."""
        with torch.no_grad():
            for block in torch.split(self._whole_VH.view(-1), _BLOCK):
                for factor in self._factors:
                    block.mul_(factor)
            self._factors.clear()
            self._whole_VH[self._ids_U] = self.weight
        return self._whole_VH

    def spread(self, rows_UH: Tensor) -> Tensor:
        """Expand the used rows [U, H] to a table [V, H] with zeros elsewhere, on the CPU."""
        # Anonymous private pages take no memory until they are written, unlike a tensor of zeros.
        shape = (self.num_embeddings, self.embedding_dim)
        num_bytes = shape[0] * shape[1] * rows_UH.element_size()
        pages = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole_VH = torch.frombuffer(pages, dtype=rows_UH.dtype).view(shape)
        whole_VH[self._ids_U.cpu()] = rows_UH.cpu()
        return whole_VH

    def gather(self, whole_VH: Tensor) -> Tensor:
        """Select the used rows from a table: the inverse of `spread`."""
        return whole_VH[self._ids_U.to(whole_VH.device)]

    def rebase_on_file(self, stored_VH: Tensor) -> None:
        """Replace the table by a memory-mapped copy in a file, which takes memory only when accessed."""
        if self._whole_VH.device.type == "cpu":
            give_back_pages(self._whole_VH)
            self._whole_VH = stored_VH

    def plain(self) -> nn.Embedding:
        """The whole table as an ordinary embedding."""
        table = nn.Embedding(
            self.num_embeddings,
            self.embedding_dim,
            padding_idx=None if self.padding_idx is None else int(self._ids_U[self.padding_idx]),
            _weight=self.whole(),
        )
        table.weight.requires_grad_(self.weight.requires_grad)
        return table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.whole()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        _, _, missing, *_ = more
        stored_VH = state_dict.get(prefix + "weight")
        if stored_VH is None:
            missing.append(prefix + "weight")
            return
        with torch.no_grad():
            self._whole_VH.copy_(stored_VH)
            self.weight.copy_(self._whole_VH[self._ids_U])
        self._factors.clear()


def rows(table: nn.Embedding | CompactEmbedding, ids_T: Tensor) -> Tensor:
    """The rows of `table.weight` for token IDs."""
    return table.rows(ids_T) if isinstance(table, CompactEmbedding) else ids_T


def restrict_vocabulary(model: nn.Module, encoder: Any, ids: NDArray[np.integer[Any]]) -> None:
    """Restrict the word embeddings to the token IDs `ids`, unless they are frozen, tied or custom."""
    table = encoder.get_input_embeddings()
    uses = [p for _, p in model.named_parameters(remove_duplicate=False) if p is table.weight]
    if type(table) is not nn.Embedding or len(uses) > 1 or not table.weight.requires_grad:
        return
    # Padded input uses the padding ID of the configuration, which may differ from that of the table.
    used = {*ids.tolist(), encoder.config.pad_token_id or 0, table.padding_idx} - {None}
    ids_U = torch.tensor(sorted(used), device=table.weight.device)
    encoder.set_input_embeddings(CompactEmbedding(table, ids_U))


def restore_vocabulary(encoder: Any) -> None:
    """Replace a compact table by the whole word embeddings."""
    table = encoder.get_input_embeddings()
    if isinstance(table, CompactEmbedding):
        encoder.set_input_embeddings(table.plain())


def rebase_on_file(model: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Back the compact tables of a model with the memory-mapped file to which it was just saved."""
    for name, module in model.named_modules():
        if isinstance(module, CompactEmbedding):
            module.rebase_on_file(stored[f"{name}.weight"])


def tables(model: nn.Module) -> list[CompactEmbedding]:
    """The compact tables of a model."""
    return [module for module in model.modules() if isinstance(module, CompactEmbedding)]
