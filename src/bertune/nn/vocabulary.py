"""Owns the compact vocabulary: of a word-embedding table, training touches only the rows its texts use.

All other rows have a gradient of zero at every step, so AdamW leaves their moments at zero and multiplies
them by `1 - lr * weight_decay`. That is replayed here before the whole table is read, factor by factor, as
dense training would have rounded it. The twin is the plain embedding; what is saved is the whole table.

Dimensions: V words of the vocabulary, U of them in use, H hidden size.
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

_BLOCK = 2**19  # elements replayed at a time: all factors pass over them while they are in the cache


class CompactEmbedding(nn.Module):
    """An embedding table of which the rows in use are the parameter `weight` [U, H]."""

    def __init__(self, table: nn.Embedding, ids_U: Tensor) -> None:
        super().__init__()
        self._whole_VH = table.weight.detach()  # rows in use are out of date until they are asked for
        self._ids_U = ids_U
        # A word that is not in use has a row past the end, so that looking it up is an error.
        self._rows_V = torch.full((table.num_embeddings,), len(ids_U), device=ids_U.device)
        self._rows_V[ids_U] = torch.arange(len(ids_U), device=ids_U.device)
        self._factors: list[float] = []
        self.weight = nn.Parameter(self._whole_VH[ids_U], requires_grad=table.weight.requires_grad)
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        self.padding_idx = None if table.padding_idx is None else int(self._rows_V[table.padding_idx])

    def rows(self, ids_T: Tensor) -> Tensor:
        """Where `weight` has these words."""
        return self._rows_V[ids_T]

    def forward(self, ids_T: Tensor) -> Tensor:
        return embedding(self.rows(ids_T), self.weight, self.padding_idx)

    def note_step(self, lr: float, weight_decay: float) -> None:
        """Remembers what an optimizer step did to the rows that are not in use."""
        if lr * weight_decay:
            self._factors.append(1 - lr * weight_decay)

    def whole(self) -> Tensor:
        """The table [V, H] as dense training would have it now."""
        with torch.no_grad():
            for block in torch.split(self._whole_VH.view(-1), _BLOCK):
                for factor in self._factors:
                    block.mul_(factor)
            self._factors.clear()
            self._whole_VH[self._ids_U] = self.weight
        return self._whole_VH

    def spread(self, rows_UH: Tensor) -> Tensor:
        """Rows of words in use as a whole table, zero elsewhere, on the CPU."""
        # Private anonymous pages that nobody writes cost no memory, even when read; a table of zeros would.
        shape = (self.num_embeddings, self.embedding_dim)
        num_bytes = shape[0] * shape[1] * rows_UH.element_size()
        pages = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole_VH = torch.frombuffer(pages, dtype=rows_UH.dtype).view(shape)
        whole_VH[self._ids_U.cpu()] = rows_UH.cpu()
        return whole_VH

    def gather(self, whole_VH: Tensor) -> Tensor:
        """The rows of words in use, from what `spread` gave."""
        return whole_VH[self._ids_U.to(whole_VH.device)]

    def rebase_on_file(self, stored_VH: Tensor) -> None:
        """Keeps what `whole` gave as a file has it: a mapped page takes memory only once it is touched."""
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
    """Where `table.weight` has these words."""
    return table.rows(ids_T) if isinstance(table, CompactEmbedding) else ids_T


def restrict_vocabulary(model: nn.Module, encoder: Any, ids: NDArray[np.integer[Any]]) -> None:
    """Leaves the encoder the rows `ids` of its table, unless that is frozen, tied, or not an ordinary one."""
    table = encoder.get_input_embeddings()
    uses = [p for _, p in model.named_parameters(remove_duplicate=False) if p is table.weight]
    if type(table) is not nn.Embedding or len(uses) > 1 or not table.weight.requires_grad:
        return
    # Padded input is filled with the configuration's padding, which need not be the table's own.
    wanted = {*ids.tolist(), encoder.config.pad_token_id or 0, table.padding_idx} - {None}
    ids_U = torch.tensor(sorted(wanted), device=table.weight.device)
    encoder.set_input_embeddings(CompactEmbedding(table, ids_U))


def restore_vocabulary(encoder: Any) -> None:
    """Gives the encoder its whole table back."""
    table = encoder.get_input_embeddings()
    if isinstance(table, CompactEmbedding):
        encoder.set_input_embeddings(table.plain())


def rebase_on_file(model: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Lets the compact tables of a model rest on the file it was just saved to, read without a copy."""
    for name, module in model.named_modules():
        if isinstance(module, CompactEmbedding):
            module.rebase_on_file(stored[f"{name}.weight"])


def tables(model: nn.Module) -> list[CompactEmbedding]:
    """The compact tables of a model."""
    return [module for module in model.modules() if isinstance(module, CompactEmbedding)]
