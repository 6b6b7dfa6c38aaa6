"""Pictures of every kind -> the tensor that their look should give."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from one_peace.data.errors import SampleError
from one_peace.modalities.image import reader as image_reader
from one_peace.modalities.image.reader import CLIP_MEAN, CLIP_STD, ImageReader

SIZE = 32


@pytest.fixture(scope="module")
def reader():
    return ImageReader.from_options({"patch_image_size": SIZE}, {})


def colours(value):
    """float[3, S, S] back to 0..255."""
    return (value * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)) * 255


def load(reader, tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    value = reader.load(name, tmp_path)
    assert value.shape == (3, SIZE, SIZE) and value.dtype == torch.float32
    return colours(value)


def gradient(low, high, dtype):
    return np.tile(np.linspace(low, high, SIZE).astype(dtype), (SIZE, 1))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (40, 20), (10, 20, 30)), (10, 20, 30)),
        (Image.new("L", (40, 20), 77), (77, 77, 77)),
        (Image.new("1", (40, 20), 1), (255, 255, 255)),
        (Image.new("RGBA", (40, 20), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("RGBA", (40, 20), (0, 0, 0, 0)), (255, 255, 255)),  # fully transparent: the white page
        (Image.new("RGBA", (40, 20), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("LA", (40, 20), (0, 0)), (255, 255, 255)),
        (Image.new("RGB", (1, 1), (9, 8, 7)), (9, 8, 7)),
        (Image.new("RGB", (20_000, 2), (9, 8, 7)), (9, 8, 7)),
    ],
)
def test_modes(reader, tmp_path, image, expected):
    value = load(reader, tmp_path, image)
    assert torch.allclose(value, torch.tensor(expected).float().view(3, 1, 1).expand_as(value), atol=1.01)


def test_palette_with_and_without_transparency(reader, tmp_path):
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 0, 200, 0])
    assert load(reader, tmp_path, image)[1].min() > 199
    assert load(reader, tmp_path, image, transparency=1).min() > 254


def test_cmyk(reader, tmp_path):
    value = load(reader, tmp_path, Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "x.tif")
    assert value[0].min() > 250 and value[1:].max() < 5


def test_16_bit_with_transparency_and_from_white_to_black(reader, tmp_path):
    pixels = np.full((20, 20), 500, np.uint16)
    pixels[:, 10:] = 40_000
    value = load(reader, tmp_path, Image.fromarray(pixels), transparency=500)
    assert value[:, :, : SIZE // 2 - 2].min() > 254 and value[:, :, SIZE // 2 + 2 :].max() < 160
    inverted = load(reader, tmp_path, Image.fromarray(65535 - pixels), "x.tif", tiffinfo={262: 0})
    assert torch.allclose(inverted, load(reader, tmp_path, Image.fromarray(pixels)), atol=1)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bit_is_scaled_not_clipped(reader, tmp_path, name):
    value = load(reader, tmp_path, Image.fromarray(gradient(0, 65535, np.uint16)), name)
    assert torch.allclose(value[0, 0], torch.linspace(0, 255, SIZE), atol=1)


def test_pixels_without_a_range_are_refused(reader, tmp_path):
    for array in (gradient(0, 1, np.float32), gradient(-5, 10**6, np.int32)):
        with pytest.raises(SampleError, match="no defined range"):
            load(reader, tmp_path, Image.fromarray(array), "x.tif")


def test_exif_rotation_is_applied(reader, tmp_path):
    image = Image.new("RGB", (20, 20), "black")
    image.paste("white", (0, 0, 20, 10))  # upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    value = load(reader, tmp_path, image, "x.jpg", exif=exif, quality=100)
    assert value[:, :, : SIZE // 2 - 3].max() < 20 and value[:, :, SIZE // 2 + 3 :].min() > 235


def test_a_bomb_is_refused_before_it_is_decoded(reader, tmp_path, monkeypatch):
    Image.new("1", (200, 200)).save(tmp_path / "big.png")
    for limit in (30_000, 10_000):  # Pillow warns above its limit and raises above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(SampleError, match="megapixels"):
            reader.load("big.png", tmp_path)


def test_damaged_files(reader, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    for broken in (content[:2000], content[:20], b"", b"not a picture", content[:500] + b"\0" * 500 + content[1000:]):
        (tmp_path / "broken.png").write_bytes(broken)
        with pytest.raises(SampleError, match=r"broken\.png.* is damaged or no picture"):
            reader.load("broken.png", tmp_path)


@pytest.mark.parametrize("cell", ["", "  ", "none.png", ".", "a\0b.png", "x" * 5000])
def test_paths_that_name_no_file(reader, tmp_path, cell):
    with pytest.raises(SampleError):
        reader.load(cell, tmp_path)


def test_training_crops_follow_the_generator_and_leave_global_randomness_alone(reader, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "x.png")
    state = torch.get_rng_state()
    crops = [reader.load("x.png", tmp_path, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(crops[0], crops[1]) and not torch.equal(crops[0], crops[2])
    assert not torch.equal(crops[0], reader.load("x.png", tmp_path))


def test_crops_cover_at_least_the_least_share(tmp_path):
    # a ramp over the width: a crop of share s shows at least about s of the range
    Image.fromarray(gradient(0, 255, np.uint8)).resize((256, 256)).save(tmp_path / "x.png")
    reader = ImageReader.from_options({"patch_image_size": 64, "min_scale": 0.9}, {})
    for seed in range(20):
        ramp = colours(reader.load("x.png", tmp_path, torch.Generator().manual_seed(seed)))[0].mean(0)
        assert ramp[-1] - ramp[0] > 255 * 0.7


def test_masks_count_patches(reader, tmp_path):
    value = torch.zeros(3, SIZE, SIZE)
    assert reader.num_units(value) == 4 and reader.adapter_settings()["rel_bucket_size"] == 2
    draws = torch.Generator().manual_seed(0)
    first = reader.mask(value, "random", 0.75, draws)
    second = reader.mask(value, "cover_previous", 0.5, draws, previous=first)
    assert first.sum() == 3 and second.sum() == 2 and second[~first].all()
    with pytest.raises(ValueError, match="cover_previous"):
        reader.mask(value, "cover_previous", 0.5, draws)
    batch = reader.collate([value, value])
    assert batch["values"].shape == (2, 3, SIZE, SIZE) and batch["padding_mask"].shape == (2, 5)
    assert not batch["padding_mask"].any()


def test_rectangles(tmp_path):
    """Whole, cropped and of training: none of them is stretched where the picture has the wanted shape."""
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, 32:96] = 255  # the middle half of the width
    Image.fromarray(stripes).save(tmp_path / "x.png")
    sides = {"patch_image_size": 32, "patch_image_width": 64}
    reader = ImageReader.from_options(sides)
    value = reader.load("x.png", tmp_path)
    assert value.shape == (3, 32, 64)
    assert reader.num_units(value) == reader.estimate_units("x.png", tmp_path) == 8
    assert reader.adapter_settings() == {"rel_bucket_size": 4, "grid_height": 2, "grid_width": 4}
    half = ImageReader.from_options(sides | {"crop_pct": 0.5}).load("x.png", tmp_path)
    assert colours(half).min() > 250  # white: 64 x 32 pixels of the middle
    crops = [reader.load("x.png", tmp_path, torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert all(crop.shape == (3, 32, 64) for crop in crops)
    dark = [(colours(crop)[0].mean(0) < 128).float().mean() for crop in crops]
    assert 0.35 < sum(dark) / 20 < 0.6  # crops of another shape would cut the sides off, or not enlarge


@pytest.mark.parametrize(
    "option",
    [
        {"patch_image_size": 30},
        {"patch_image_size": 0},
        {"patch_image_width": 40},
        {"min_scale": 0.0},
        {"min_scale": 2},
    ],
)
def test_wrong_options(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        ImageReader.from_options(option, {})


def photo(width, height):
    """Noise whose power falls with the frequency as that of photographs does."""
    draws = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = 1
    grey, channels = [], []
    for _ in range(4):
        channel = np.fft.ifft2(np.fft.fft2(draws.standard_normal((height, width))) / frequency).real
        channels.append(channel / channel.std())
    grey = channels.pop()
    pixels = np.stack([128 + 50 * (0.8 * grey + 0.3 * channel) for channel in channels], axis=-1)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def decoded(monkeypatch):
    """The sizes that Pillow decoded pictures to, in turn."""
    sizes = []
    convert = image_reader.to_rgb
    monkeypatch.setattr(image_reader, "to_rgb", lambda image: sizes.append(image.size) or convert(image))
    return sizes


@pytest.mark.parametrize(
    ("mode", "turn", "size", "expected"),
    [
        ("RGB", 1, (320, 240), (160, 120)),
        ("RGB", 1, (323, 241), (162, 121)),
        ("RGB", 6, (323, 241), (162, 121)),
        ("RGB", 3, (323, 241), (162, 121)),
        ("L", 1, (320, 240), (160, 120)),
        ("CMYK", 8, (320, 240), (160, 120)),
        ("RGB", 1, (1100, 560), (138, 70)),
    ],
)
def test_training_decodes_fewer_pixels_of_a_large_jpeg_and_hardly_differs(
    reader, tmp_path, decoded, monkeypatch, mode, turn, size, expected
):
    exif = Image.Exif()
    exif[0x0112] = turn
    photo(*size).convert(mode).save(tmp_path / "x.jpg", exif=exif, quality=92)
    ours = reader.load("x.jpg", tmp_path, torch.Generator().manual_seed(1))
    monkeypatch.setattr(reader, "_enough", None)
    whole = reader.load("x.jpg", tmp_path, torch.Generator().manual_seed(1))
    reader.load("x.jpg", tmp_path)
    assert decoded == [expected, size, size]
    difference = (colours(ours) - colours(whole)).abs().mean()
    # of 255, where the standard deviation is about 45; an odd side that is turned over ends up a pixel off
    assert difference < (2 if turn == 1 or size[0] % 2 == 0 else 5)
    assert (colours(whole) - colours(whole).flip(1)).abs().mean() > 20  # it is no flat picture


@pytest.mark.parametrize(("name", "size"), [("x.jpg", (133, 300)), ("x.png", (640, 480)), ("x.jpg", (9, 700))])
def test_nothing_is_left_out_of_a_small_picture_or_another_format(reader, tmp_path, decoded, name, size):
    photo(*size).save(tmp_path / name)
    assert reader.load(name, tmp_path, torch.Generator().manual_seed(1)).shape == (3, SIZE, SIZE)
    assert decoded == [size]


@given(st.integers(40, 700), st.integers(40, 700), st.sampled_from([16, 32, 48]), st.floats(0.1, 1), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_a_shrunk_jpeg_has_twice_the_pixels_that_are_wanted(width, height, side, least, seed):
    reader = ImageReader.from_options({"patch_image_size": side, "min_scale": least})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jpg"
        Image.new("RGB", (width, height)).save(path)
        image, size = reader._open(path, reader._enough)
        assert size == (width, height)
        assert image.size == size or min(image.size) * least**0.5 >= 2 * side
        assert min(size) < 4 * side / least**0.5 + 2 or image.size != size  # and it is shrunk where it can be
        value = reader.load("x.jpg", Path(folder), torch.Generator().manual_seed(seed))
        assert value.shape == (3, side, side)


def test_the_estimate_is_the_number_of_patches(reader, tmp_path):
    Image.new("RGB", (5, 7)).save(tmp_path / "x.png")
    assert reader.estimate_units("x.png", tmp_path) == reader.num_units(reader.load("x.png", tmp_path))
    assert reader.estimate_units("none.png", tmp_path) == 4
