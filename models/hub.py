"""The model as a library: ``from_pretrained(path).embed("image", files)``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor
from tqdm import tqdm

from one_peace.data.errors import SampleError
from one_peace.modalities import Reader, build_readers, modality_names

from .config import parse_group
from .retrieval import RetrievalModel, RetrievalModelConfig


class OnePeace:
    """Embeds texts and files of every modality its checkpoint holds into one space.

    Attributes:
        modalities: names of the branches, e.g. ("text", "image", "audio").
    """

    def __init__(self, model: RetrievalModel, readers: Mapping[str, Reader]):
        self.model = model.eval()
        self.readers = readers
        self.modalities = tuple(readers)

    @torch.inference_mode()
    def embed(
        self,
        modality: str,
        items: Iterable[str | Path],
        *,
        batch_size: int = 32,
        root: str | Path = ".",
        progress: bool = False,
    ) -> Tensor:
        """Unit-norm embeddings float32 Tensor[N, D] on the CPU, in the order of ``items``.

        Args:
            modality: one of ``modalities``.
            items: texts, or paths of files; what the modality's reader takes from a manifest cell.
            batch_size: items encoded at once.
            root: where relative paths start.
            progress: show a progress bar.

        Raises:
            ValueError: no such branch, or an item cannot be read; the message names it.
        """
        if modality not in self.modalities:
            raise ValueError(f"no {modality} branch in this checkpoint (it has {', '.join(self.modalities)})")
        items = [str(item) for item in items]
        starts = range(0, len(items), batch_size)
        parts = [
            self._embed_batch(modality, items[start : start + batch_size], Path(root))
            for start in tqdm(starts, desc=f"embed {modality}", unit="batch", disable=not progress)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, self.model.embed_dim)

    def _embed_batch(self, modality: str, items: Sequence[str], root: Path) -> Tensor:
        reader, values = self.readers[modality], []
        for item in items:
            try:
                values.append(reader.load(item, root))
            except SampleError as error:
                raise ValueError(f"{modality} {item!r}: {error}") from None
        device = next(self.model.parameters()).device
        raw = {key: value.to(device) for key, value in reader.collate(values).items()}
        return self.model.embed(modality, **raw).float().cpu()


def from_pretrained(
    path: str | Path, *, device: str | torch.device = "cpu", release_padding: bool = False, **options: Any
) -> OnePeace:
    """Load a checkpoint: one trained here, merged by ``python -m one_peace.models.merge``, or released.

    Args:
        path: the file; only tensors and plain values are read from it, never code.
        device: where the model runs.
        release_padding: reproduce the numbers the original release gives for padded batches (see `Wrapper`).
        options: what differs from training, by task flag, e.g. ``bpe_dir="BPE"`` when the vocabulary has moved.

    Raises:
        ValueError: the file is no checkpoint of this model, or needs an option.
        FileNotFoundError: no such file.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping) or not {"cfg", "model"} <= state.keys() or not state["cfg"]:
        raise ValueError(f"{path}: not a checkpoint of this model (no 'cfg' and 'model' in it)")
    weights, cfg = state["model"], state["cfg"]
    names = tuple(name for name in modality_names() if f"{name}_proj.weight" in weights)
    if not names:
        raise ValueError(f"{path}: holds no projection of a known modality ({', '.join(modality_names())})")
    flat = {**cfg["task"], **options}
    readers = build_readers(names, flat, _known(parse_group(flat.get("readers"), "readers"), names))
    config = OmegaConf.structured(RetrievalModelConfig())
    for key in config:
        if cfg["model"].get(key) is not None and key not in ("reset_logit_scale", "release_padding"):
            config[key] = cfg["model"][key]
    config.release_padding = release_padding
    config.copy_rel_pos_table = any("rel_pos_table_list.1." in key for key in weights)
    model = RetrievalModel.build_model(config, _Branches(names, readers))
    model.load_state_dict(weights, strict=True)
    return OnePeace(model.to(device), readers)


class _Branches:
    """What a model asks of a task."""

    def __init__(self, modalities: tuple[str, ...], readers: Mapping[str, Reader]):
        self.modalities = modalities
        self._readers = readers

    def adapter_settings(self) -> dict[str, Mapping[str, object]]:
        return {name: reader.adapter_settings() for name, reader in self._readers.items()}


def _known(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}
