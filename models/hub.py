"""The model as a library: ``from_pretrained(path).embed("image", files)``."""

import difflib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from one_peace.data.errors import SampleError
from one_peace.modalities import Reader, build_readers, get_modality, modality_names, override_readers

from .checkpoint import read_checkpoint
from .config import parse_group
from .memory import keep_freed_memory
from .retrieval import RetrievalModel, RetrievalModelConfig

WINDOW = 256  # items loaded before they are sorted by length; as many again are loaded while these are encoded


class OnePeace:
    """Embeds texts and files of every modality its checkpoint holds into one space.

    Attributes:
        modalities: names of the branches, e.g. ("text", "image", "audio").
    """

    def __init__(self, model: RetrievalModel, readers: Mapping[str, Reader], dtype: torch.dtype = torch.float32):
        self.model = model.eval()
        self.readers = readers
        self.modalities = tuple(readers)
        self.dtype = dtype

    def embed(
        self,
        modality: str,
        items: Iterable[str | Path],
        *,
        batch_size: int = 32,
        root: str | Path = ".",
        progress: bool = False,
        num_workers: int = 4,
    ) -> Tensor:
        """Unit-norm embeddings float32 Tensor[N, D] on the CPU, in the order of ``items``.

        Items are read as they are needed and encoded in batches of similar length. On a CPU the process keeps freed
        memory from then on (see `keep_freed_memory`).

        Args:
            modality: one of ``modalities``.
            items: texts, or paths of files; what the modality's reader takes from a manifest cell.
            batch_size: items encoded at once.
            root: where relative paths start.
            progress: show a progress bar.
            num_workers: threads that load items while the model computes; 0 loads them in between.

        Raises:
            TypeError: ``items`` is a single one, or holds something else than texts and paths.
            ValueError: no such branch, or an item cannot be read; the message names it.
        """
        if isinstance(items, str | bytes | os.PathLike):
            raise TypeError(f"items={items!r}: hand over a list of texts or paths, as in embed({modality!r}, [...])")
        if modality not in self.modalities:
            raise ValueError(f"no {modality} branch in this checkpoint (it has {', '.join(self.modalities)})")
        if batch_size < 1 or num_workers < 0:
            raise ValueError(f"batch_size={batch_size} must be at least 1, num_workers={num_workers} at least 0")
        keep_freed_memory(next(self.model.parameters()).device.type)  # not before: loading frees a copy of the weights
        total = len(items) if hasattr(items, "__len__") else None
        size, parts = max(1, WINDOW // batch_size) * batch_size, [torch.zeros(0, self.model.embed_dim)]
        loaded = self._load_ahead(modality, items, Path(root), num_workers, size)
        with tqdm(total=total, desc=f"embed {modality}", unit="item", disable=not progress) as bar:
            while window := list(islice(loaded, size)):
                parts.append(self._embed_window(modality, window, batch_size, bar))
        return torch.cat(parts)

    def _embed_window(self, modality: str, window: Sequence[Tensor], batch_size: int, bar: tqdm) -> Tensor:
        """Embeddings of loaded values, in their order."""
        reader, order = self.readers[modality], list(range(len(window)))
        if not self.model.cfg.release_padding:  # there a result depends on the other items of its batch
            order.sort(key=lambda i: reader.num_units(window[i]))
        out_ND = torch.empty(len(window), self.model.embed_dim)
        device = next(self.model.parameters()).device
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            raw = {
                key: value.to(device, self.dtype if value.is_floating_point() else None)
                for key, value in reader.collate([window[i] for i in chosen]).items()
            }
            with torch.inference_mode():  # not around the whole: what is returned may be trained upon
                embedding_BD = self.model.embed(modality, **raw).float()
            # again, as half precision rounds
            out_ND[chosen] = F.normalize(embedding_BD, dim=-1).cpu()
            bar.update(len(chosen))
        return out_ND

    def _load_ahead(
        self, modality: str, items: Iterable[str | Path], root: Path, num_workers: int, ahead: int
    ) -> Iterator[Tensor]:
        """Values in the order of ``items``, at most ``ahead`` of them loaded before they are asked for."""
        if num_workers == 0:
            yield from (self._load(modality, item, root) for item in items)
            return
        pool, waiting = ThreadPoolExecutor(num_workers), deque[Future[Tensor]]()
        try:
            for item in items:
                waiting.append(pool.submit(self._load, modality, item, root))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, modality: str, item: str | Path, root: Path) -> Tensor:
        if not isinstance(item, str | os.PathLike):
            raise TypeError(
                f"{modality} {item!r}: an item is a text or the path of a file, not a {type(item).__name__}"
            )
        try:
            return self.readers[modality].load(os.fspath(item), root)
        except MemoryError:
            raise
        except Exception as error:  # a reader of the user's, or a library, raises what it likes
            raise ValueError(f"{modality} {os.fspath(item)!r}: {error}") from (
                None if isinstance(error, SampleError) else error
            )


def from_pretrained(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    compile: bool = False,
    int8: bool = False,
    release_padding: bool = False,
    **options: Any,
) -> OnePeace:
    """Load a checkpoint: one trained here, merged by ``python -m one_peace.models.merge``, or released.

    Args:
        path: the file; only tensors and plain values are read from it, never code.
        device: where the model runs.
        dtype: of weights and computation; embeddings are float32 always.
        compile: let torch.compile fuse the encoder's layers; the first batches wait for the compiler.
        int8: int8 weights and products on a CPU: a quarter of these layers' memory; embeddings differ slightly, also
            with what else is in a batch, whose values share one scale (``embed(..., batch_size=1)`` is free of that).
        release_padding: reproduce the numbers the original release gives for padded batches (see `Wrapper`).
        options: what differs from training, by task flag, e.g. ``bpe_dir="BPE"`` when the vocabulary has moved.

    Raises:
        ValueError: the file is damaged, no checkpoint of this model or lacks a part of it, or needs an option; an
            option that no reader has; options that exclude each other.
        FileNotFoundError: no such file.
        RuntimeError: ``compile`` without a C++ compiler.
    """
    if int8 and (compile or dtype != torch.float32 or torch.device(device).type != "cpu"):
        raise ValueError("int8 runs on the CPU, from float32 weights: leave out device, dtype and compile")
    if compile:
        _require_compiler()
    state = read_checkpoint(path)
    weights, cfg = state["model"], state["cfg"]
    names = tuple(name for name in modality_names() if f"{name}_proj.weight" in weights)
    if not names:
        raise ValueError(f"{path}: holds no projection of a known modality ({', '.join(modality_names())})")
    _check_options(names, options)
    flat = {**cfg["task"], **options}
    nested = [parse_group(group.get("readers"), "readers") for group in (cfg["task"], options)]
    readers = build_readers(names, flat, _known(override_readers(nested[0], options, nested[1]), names))
    config = OmegaConf.structured(RetrievalModelConfig())
    for key in config:
        if cfg["model"].get(key) is not None and key not in ("release_padding", "reference"):
            config[key] = cfg["model"][key]
    config.release_padding = release_padding
    config.reference = int8  # the fast path reads the weights of Linear layers, which int8 layers pack away
    config.copy_rel_pos_table = any("rel_pos_table_list.1." in key for key in weights)
    model = RetrievalModel.build_model(config, _Branches(names, readers))
    model.for_evaluation = True
    try:
        model.load_state_dict(weights, strict=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model.to(device, dtype)
    if int8:
        model = quantize(model)
    if compile:
        _allow_graphs()
        for layer in model.encoder_wrapper.fusion_model.layers:
            layer.compile(dynamic=True)
    return OnePeace(model, readers, dtype)


def _allow_graphs() -> None:
    """Layers share one allowance of graphs, eight by default, and each modality takes about four."""
    from torch._dynamo import config  # takes its time

    config.recompile_limit = max(config.recompile_limit, 8 * len(modality_names()))


def _check_options(names: Iterable[str], options: Iterable[str]) -> None:
    """ValueError for an option that no reader of the modalities has."""
    known = {field.name for name in names for field in fields(get_modality(name).reader.Config)} | {"readers"}
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no option {option!r}{hint} (options: {', '.join(sorted(known))})")


def quantize(model: nn.Module) -> nn.Module:
    """``model`` with int8 weights in its Linear layers; inputs are quantised as they come. CPU only."""
    from torch.ao.quantization import quantize_dynamic  # deprecated without a successor in PyTorch itself

    return quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8, inplace=True)


def _require_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"compile=True needs a C++ compiler, and there is no {compiler!r}: install g++, name another one in the "
            "environment variable CXX, or leave compile out"
        )


class _Branches:
    """What a model asks of a task."""

    def __init__(self, modalities: tuple[str, ...], readers: Mapping[str, Reader]):
        self.modalities = modalities
        self._readers = readers

    def adapter_settings(self) -> dict[str, Mapping[str, object]]:
        return {name: reader.adapter_settings() for name, reader in self._readers.items()}


def _known(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}
