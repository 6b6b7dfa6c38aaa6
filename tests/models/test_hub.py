"""`from_pretrained` and `OnePeace.embed` on a small checkpoint of all three branches."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf
from PIL import Image

from one_peace.benchmarks.machine import in_fresh_process
from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.modalities import build_readers, override_readers
from one_peace.models import from_pretrained, hub
from one_peace.models.retrieval import RetrievalModel, RetrievalModelConfig

from .conftest import ENCODER
from .test_memory import PAGES, pages_of_steps

WORDS = ["a", "red", "green", "blue", "small", "large", "square", "dog", "cat", "sings", "in", "the", "tree"]
CAPTIONS = [" ".join(WORDS[: 1 + 5 * i % 12]) for i in range(11)]  # of 1 to 12 words, in no order


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """``model.pt``, ``bpe``, pictures ``0.png`` ... and sounds ``0.wav`` ... of several lengths."""
    folder = tmp_path_factory.mktemp("hub")
    train_tokenizer(CAPTIONS, folder / "bpe", vocab_size=60)
    draws = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(draws.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        soundfile.write(folder / f"{i}.wav", draws.normal(0, 0.1, 16000 + 4000 * (3 * i % 5)), 16000)
    write_checkpoint(folder, folder / "model.pt")
    return folder


def write_checkpoint(folder: Path, path: Path, **options) -> None:
    """A model whose every parameter matters, as `merge` leaves one of a run with ``--reset-logit-scale``."""
    task = {"bpe_dir": str(folder / "bpe"), "patch_image_size": 32, "max_duration": None}
    names = ("text", "image", "audio")
    torch.manual_seed(0)
    cfg = OmegaConf.structured(RetrievalModelConfig(size="tiny", encoder=ENCODER, **options))
    model = RetrievalModel.build_model(cfg, hub._Branches(names, build_readers(names, task, {})))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    plain = OmegaConf.to_container(cfg) | {"reset_logit_scale": True}
    torch.save({"cfg": {"model": plain, "task": task}, "model": model.state_dict()}, path)


@pytest.fixture(scope="module")
def model(folder) -> hub.OnePeace:
    return from_pretrained(folder / "model.pt")


ITEMS = {
    "text": CAPTIONS,
    "image": [f"{i}.png" for i in range(5)],
    "audio": [f"{i}.wav" for i in range(5)],
}


def cosine(a_ND, b_ND) -> float:
    """The least of all rows."""
    return torch.cosine_similarity(a_ND, b_ND).min().item()


@pytest.mark.parametrize("name", ITEMS)
def test_a_batch_gives_what_each_item_gives_by_itself_in_order(model, folder, name) -> None:
    together = model.embed(name, ITEMS[name], batch_size=4, root=folder)
    alone = torch.cat([model.embed(name, [item], root=folder) for item in ITEMS[name]])
    assert together.dtype == torch.float32 and together.shape == (len(ITEMS[name]), ENCODER["embed_dim"])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(len(together)))
    assert torch.cdist(together, together).add(torch.eye(len(together))).min() > 1e-3  # order matters


def test_order_is_kept_over_several_windows(model, monkeypatch) -> None:
    whole = model.embed("text", CAPTIONS, batch_size=2)
    monkeypatch.setattr(hub, "WINDOW", 4)
    torch.testing.assert_close(model.embed("text", CAPTIONS, batch_size=2), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("release_padding", [False, True])
def test_batches_are_of_similar_length(folder, monkeypatch, release_padding) -> None:
    """Sorted, a batch pads little. Where padding matters the batches are the caller's."""
    model = from_pretrained(folder / "model.pt", release_padding=release_padding)
    widths, embed = [], model.model.embed
    monkeypatch.setattr(
        model.model, "embed", lambda name, **raw: widths.append(raw["padding_mask"].shape[1]) or embed(name, **raw)
    )
    model.embed("text", CAPTIONS, batch_size=4)
    lengths = [1 + len(model.readers["text"].load(caption, folder)) for caption in CAPTIONS]
    if not release_padding:
        lengths.sort()
    assert widths == [max(lengths[i : i + 4]) for i in range(0, len(lengths), 4)]


def test_a_table_a_layer(folder, tmp_path) -> None:
    """The weights say whether layers share their tables."""
    write_checkpoint(folder, tmp_path / "own.pt", copy_rel_pos_table=True)
    own = from_pretrained(tmp_path / "own.pt")
    assert own.model.cfg.copy_rel_pos_table
    assert len(own.model.encoder_wrapper.text_adapter.rel_pos_table_list) == ENCODER["layers"]
    assert own.embed("text", CAPTIONS[:2]).shape == (2, ENCODER["embed_dim"])


@pytest.mark.parametrize("name", ITEMS)
def test_threads_change_nothing(model, folder, name) -> None:
    one, four = (model.embed(name, ITEMS[name], batch_size=2, root=folder, num_workers=n) for n in (0, 4))
    assert torch.equal(one, four)


def test_items_may_be_paths_an_iterator_or_none_at_all(model, folder) -> None:
    names = ITEMS["image"]
    expected = model.embed("image", names, root=folder)
    assert torch.equal(model.embed("image", (folder / name for name in names)), expected)
    assert model.embed("image", []).shape == (0, ENCODER["embed_dim"])


def test_items_are_read_as_they_are_needed(model, folder, monkeypatch) -> None:
    """At most a window and what is loaded ahead of it: a long list must not fill the memory."""
    monkeypatch.setattr(hub, "WINDOW", 4)
    asked, most, embedded = [0], [], [0]
    embed = model.model.embed

    def items():
        for _ in range(40):
            asked[0] += 1
            yield "0.png"

    def count(name, **raw):
        most.append(asked[0] - embedded[0])
        embedded[0] += len(raw["values"])
        return embed(name, **raw)

    monkeypatch.setattr(model.model, "embed", count)
    assert len(model.embed("image", items(), batch_size=2, root=folder)) == 40
    assert max(most) <= 2 * 4 + 1


@pytest.mark.parametrize("workers", [0, 4])
def test_an_item_that_cannot_be_read_is_named(model, folder, workers) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    for item in ("none.png", "broken.png"):
        with pytest.raises(ValueError, match=rf"image '{item}': .*{item}"):
            model.embed("image", ["0.png", item, "1.png"], root=folder, num_workers=workers)


def test_embeddings_may_be_trained_upon(model) -> None:
    probe = torch.nn.Linear(ENCODER["embed_dim"], 2)
    probe(model.embed("text", CAPTIONS)).sum().backward()
    assert probe.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("a dog", r"embed\('text', \[...\]\)"),
        (Path("0.png"), "a list of texts or paths"),
        ([None], "text None: an item is a text or the path of a file, not a NoneType"),
        ([b"abc"], "not a bytes"),
        ([Image.new("RGB", (2, 2))], "not a Image"),
    ],
)
def test_what_is_no_list_of_texts_or_paths_is_refused(model, items, words) -> None:
    with pytest.raises(TypeError, match=words):
        model.embed("text", items)


def test_any_error_of_a_reader_names_the_item(model, monkeypatch) -> None:
    def load(cell, root, generator=None):
        raise KeyError("inside")

    monkeypatch.setattr(model.readers["text"], "load", load)
    with pytest.raises(ValueError, match="text 'a dog': 'inside'"):
        model.embed("text", ["a dog"])


def test_wrong_arguments_are_named(model) -> None:
    with pytest.raises(ValueError, match=r"no video branch .*text, image, audio"):
        model.embed("video", [])
    with pytest.raises(ValueError, match="batch_size=0"):
        model.embed("text", [], batch_size=0)
    with pytest.raises(ValueError, match="num_workers=-1"):
        model.embed("text", [], num_workers=-1)


@pytest.mark.parametrize("name", ITEMS)
def test_bfloat16_is_close(model, folder, name) -> None:
    half = from_pretrained(folder / "model.pt", dtype=torch.bfloat16)
    assert next(half.model.parameters()).dtype == torch.bfloat16
    ours = half.embed(name, ITEMS[name], root=folder)
    assert ours.dtype == torch.float32
    assert 0.98 < cosine(ours, model.embed(name, ITEMS[name], root=folder)) < 1 - 1e-7


@pytest.mark.parametrize("name", ITEMS)
def test_int8_is_close(model, folder, name) -> None:
    small = from_pretrained(folder / "model.pt", int8=True)
    assert not any(type(module) is torch.nn.Linear for module in small.model.modules())
    ours = small.embed(name, ITEMS[name], root=folder)
    assert 0.95 < cosine(ours, model.embed(name, ITEMS[name], root=folder)) < 1 - 1e-7


@pytest.mark.parametrize("other", [{"compile": True}, {"dtype": torch.bfloat16}, {"device": "cuda"}])
def test_int8_excludes_what_it_cannot_do(folder, other) -> None:
    with pytest.raises(ValueError, match="int8 runs on the CPU"):
        from_pretrained(folder / "model.pt", int8=True, **other)


def test_the_naive_path_of_training_is_not_kept(folder, tmp_path) -> None:
    """A checkpoint says how it was computed; who loads it wants it fast."""
    state = torch.load(folder / "model.pt", weights_only=True)
    state["cfg"]["model"]["reference"] = True
    torch.save(state, tmp_path / "model.pt")
    loaded = from_pretrained(tmp_path / "model.pt")
    assert not loaded.model.cfg.reference and not loaded.model.encoder_wrapper.fusion_model.reference


def test_compiling_needs_a_compiler(folder, monkeypatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match=r"no 'no-such-compiler': install g\+\+"):
        from_pretrained(folder / "model.pt", compile=True)


@pytest.mark.parametrize(
    "content", [{}, {"cfg": None, "model": {}}, {"cfg": {"task": {}, "model": {}}, "model": {}}, [1]]
)
def test_other_files_are_named(tmp_path, content) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt: (not a checkpoint|holds no projection)"):
        from_pretrained(tmp_path / "other.pt")


def test_damaged_and_hostile_files_are_named(folder, tmp_path) -> None:
    class Attack:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    path, whole = tmp_path / "bad.pt", (folder / "model.pt").read_bytes()
    torch.save({"cfg": Attack(), "model": {}}, tmp_path / "attack.pt")
    for content in (b"", b"some text", whole[: len(whole) // 2], (tmp_path / "attack.pt").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.pt: not a (whole )?checkpoint") as error:
            from_pretrained(path)
        assert "weights_only" not in str(error.value)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(FileNotFoundError):
        from_pretrained(tmp_path / "none.pt")


@pytest.mark.parametrize("part", ["audio_adapter.", "layers.1.audio_ffn.", "text_layer_norm"])
def test_a_part_that_is_missing_is_not_made_up(folder, tmp_path, part) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    state["model"] = {key: value for key, value in state["model"].items() if part not in key}
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=rf"part\.pt: the checkpoint lacks \d+ parameters.*{part.split('.')[0]}"):
        from_pretrained(tmp_path / "part.pt")


def test_an_option_that_no_reader_has(folder) -> None:
    with pytest.raises(ValueError, match="no option 'max_duraton'; did you mean 'max_duration'"):
        from_pretrained(folder / "model.pt", max_duraton=3)
    assert from_pretrained(folder / "model.pt", max_duration=3).readers["audio"].config.max_duration == 3


def test_importing_leaves_logging_alone() -> None:
    code = (
        "import logging; root = logging.getLogger(); from one_peace.models import from_pretrained; "
        "assert (root.level, root.handlers) == (logging.WARNING, []), (root.level, root.handlers)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_vocabulary_that_has_moved(folder, tmp_path) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    state["cfg"]["task"]["bpe_dir"] = "gone"
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="bpe_dir 'gone'"):
        from_pretrained(tmp_path / "model.pt")
    loaded = from_pretrained(tmp_path / "model.pt", bpe_dir=str(folder / "bpe"))
    assert loaded.embed("text", CAPTIONS[:1]).shape == (1, ENCODER["embed_dim"])


def test_another_vocabulary_of_the_same_size_is_refused(folder, tmp_path) -> None:
    shutil.copytree(folder / "bpe", tmp_path / "bpe")
    first, second, *rest = (tmp_path / "bpe" / "dict.txt").read_text().splitlines()
    (tmp_path / "bpe" / "dict.txt").write_text("\n".join([second, first, *rest]) + "\n")
    with pytest.raises(ValueError, match="not the vocabulary of the checkpoint"):
        from_pretrained(folder / "model.pt", bpe_dir=str(tmp_path / "bpe"))
    state = torch.load(folder / "model.pt", weights_only=True)
    del state["cfg"]["model"]["encoder"]["text_adapter"]["vocabulary"]  # an older checkpoint does not tell
    torch.save(state, tmp_path / "old.pt")
    from_pretrained(tmp_path / "old.pt", bpe_dir=str(tmp_path / "bpe"))


def test_readers_of_a_checkpoint_are_updated_one_option_at_a_time(folder, tmp_path) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    state["cfg"]["task"] |= {"patch_image_size": None, "readers": "{image: {patch_image_size: 32, crop_pct: 0.5}}"}
    torch.save(state, tmp_path / "model.pt")
    for options, side in (({}, 32), ({"readers": {"text": {"max_src_length": 9}}}, 32), ({"patch_image_size": 48}, 48)):
        config = from_pretrained(tmp_path / "model.pt", bpe_dir=str(folder / "bpe"), **options).readers["image"].config
        assert (config.patch_image_size, config.crop_pct) == (side, 0.5)
    both = override_readers({"image": {"crop_pct": 0.5}}, {"crop_pct": 0.6}, {"image": {"crop_pct": 0.7}, "text": {}})
    assert both == {"image": {"crop_pct": 0.7}, "text": {}}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_embeddings_of_half_precision_are_of_unit_norm(folder, dtype) -> None:
    embeddings = from_pretrained(folder / "model.pt", dtype=dtype).embed("text", CAPTIONS)
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(len(CAPTIONS)), atol=1e-6, rtol=0)


TRAIN_AFTER_EMBEDDING = """
import sys
import torch
from one_peace.models import from_pretrained

folder = sys.argv[1]
model = from_pretrained(f"{folder}/model.pt")
for name, item in (("text", "a dog"), ("image", "0.png"), ("audio", "0.wav")):
    model.embed(name, [item], root=folder)
network = model.model.train()
inputs = {"text": {"values": torch.tensor([[5, 6, 2]])}, "image": {"values": torch.randn(1, 3, 32, 32)},
          "audio": {"values": torch.randn(1, 16000)}}
sum(e.sum() for e in network(inputs)["embeddings"].values()).backward()
tables = [p for key, p in network.named_parameters() if "rel_pos_table" in key]
assert len(tables) == 3 and all(p.grad is not None and p.grad.abs().sum() > 0 for p in tables)
"""


def test_training_goes_on_after_embedding(folder) -> None:
    """What the first embedding pass caches must be fit for training: a process of its own, with empty caches."""
    command = [sys.executable, "-c", TRAIN_AFTER_EMBEDDING, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def pages_after_embedding(checkpoint: Path) -> int:
    from_pretrained(checkpoint).embed("text", CAPTIONS)
    return pages_of_steps()


@pytest.mark.usefixtures("glibc")
def test_a_batch_on_a_cpu_uses_the_memory_of_the_one_before_it(folder) -> None:
    assert in_fresh_process(pages_after_embedding, folder / "model.pt") < 0.5 * PAGES
