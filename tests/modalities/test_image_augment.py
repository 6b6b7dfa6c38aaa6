"""Random changes of training pictures, whole pictures, and the central square."""

import struct
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps
from torchvision.transforms import v2

from one_peace.data.errors import SampleError
from one_peace.modalities.image.augment import Augment, AugmentConfig
from one_peace.modalities.image.reader import ImageReader, ImageReaderConfig, picture_size, to_rgb
from tests.modalities.test_image_reader import colours, photo

SIZE = 32
OPTIONS = [{"flip_prob": 1.0}, {"rand_augment": 9}, {"color_jitter": 0.4}, {"blur_prob": 1.0}, {"erase_prob": 1.0}]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def folder(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    return tmp_path


def reader(**options):
    return ImageReader.from_options({"patch_image_size": SIZE, **options})


def test_off_by_default_and_nothing_is_drawn():
    augment, image, draws = Augment(AugmentConfig()), Image.new("RGB", (4, 4)), generator()
    value = torch.zeros(3, 4, 4)
    assert augment.picture(image, draws) is image and augment.tensor(value, draws) is value
    assert torch.equal(draws.get_state(), generator().get_state())
    off = {"flip_prob": 0.0, "rand_augment": 0, "color_jitter": 0.0, "blur_prob": 0.0, "erase_prob": 0.0}
    assert all(getattr(ImageReaderConfig(), name) == value for name, value in off.items())


@pytest.mark.parametrize("options", OPTIONS)
def test_each_changes_training_pictures_by_their_generator_alone(folder, options):
    plain, augmented = reader(no_crop=True), reader(no_crop=True, **options)
    state = torch.get_rng_state()
    values = [augmented.load("x.png", folder, generator(seed)) for seed in range(8)]
    assert torch.equal(torch.get_rng_state(), state)
    again = [augmented.load("x.png", folder, generator(seed)) for seed in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(values, again, strict=True))
    whole = plain.load("x.png", folder, generator())
    assert sum(not torch.equal(value, whole) for value in values) >= 6
    assert all(value.shape == whole.shape and value.isfinite().all() for value in values)
    assert torch.equal(augmented.load("x.png", folder), plain.load("x.png", folder))


def test_the_crop_is_the_same_with_and_without_later_changes(folder):
    crop = reader(min_scale=0.3).load("x.png", folder, generator())
    flipped = reader(min_scale=0.3, flip_prob=1.0).load("x.png", folder, generator())
    torch.testing.assert_close(flipped, crop.flip(2))


def test_probabilities_are_shares_of_the_draws(folder):
    whole = reader().load("x.png", folder)
    for name in ("flip_prob", "blur_prob", "erase_prob"):
        some = reader(no_crop=True, **{name: 0.3})
        values = [some.load("x.png", folder, generator(seed)) for seed in range(100)]
        assert 18 <= sum(not torch.equal(value, whole) for value in values) <= 42, name


def test_erased_pixels_have_the_mean_colour(folder):
    value = reader(no_crop=True, erase_prob=1.0).load("x.png", folder, generator())
    erased = (value == 0).all(dim=0)
    rows, columns = erased.any(dim=1).sum(), erased.any(dim=0).sum()
    assert 0 < erased.sum() == rows * columns < SIZE**2


def test_blur_is_of_a_radius_between_a_tenth_and_two(monkeypatch):
    radii = []
    monkeypatch.setattr(Image.Image, "filter", lambda self, blur: radii.append(blur.radius) or self)
    augment, draws = Augment(AugmentConfig(blur_prob=0.5)), generator()
    for _ in range(400):
        augment.picture(Image.new("RGB", (4, 4)), draws)
    assert 160 < len(radii) < 240 and 0.1 <= min(radii) < 0.2 and 1.9 < max(radii) <= 2.0


def test_operations_of_rand_augment_vary(folder):
    some = reader(no_crop=True, rand_augment=30)
    means = Counter(round(float(some.load("x.png", folder, generator(seed)).mean()), 3) for seed in range(30))
    assert len(means) > 15


def test_whole_pictures_in_training_are_those_of_evaluation(folder):
    assert torch.equal(reader(no_crop=True).load("x.png", folder, generator()), reader().load("x.png", folder))
    assert not torch.equal(reader().load("x.png", folder, generator()), reader().load("x.png", folder))


@pytest.mark.parametrize(("size", "exif"), [((640, 480), 1), ((640, 480), 6), ((321, 243), 1)])
def test_a_large_jpeg_is_whole_too(tmp_path, size, exif):
    """It is decoded at a fraction of its size: what lies at its edges is still there."""
    image, tags = Image.new("RGB", size, "black"), Image.Exif()
    image.paste("white", (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    tags[0x0112] = exif
    image.save(tmp_path / "x.jpg", exif=tags, quality=95)
    value = reader(no_crop=True).load("x.jpg", tmp_path, generator())
    difference = (colours(value) - colours(reader().load("x.jpg", tmp_path))).abs()
    assert difference.mean() < 2 and difference.max() < 60
    assert picture_size("x.jpg", tmp_path) == (size if exif == 1 else size[::-1])


@pytest.mark.parametrize("exif", range(9))
def test_pictures_are_turned_as_pillow_turns_them_whatever_else_their_tags_hold(tmp_path, exif):
    image, tags = photo(40, 24), Image.Exif()
    tags[ExifTags.Base.Orientation] = exif
    image.save(tmp_path / "x.png", exif=tags)
    with Image.open(tmp_path / "x.png") as opened:
        expected = ImageOps.exif_transpose(opened)
    assert to_rgb(Image.open(tmp_path / "x.png")).tobytes() == expected.tobytes()
    # a resolution in letters, which Pillow fails to write again
    entries = struct.pack("<HHIHxx", 0x0112, 3, 1, exif) + struct.pack("<HHII", 0x011A, 2, 7, 38)
    image.save(tmp_path / "odd.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + b"\0\0\0\x0072 dpi\0")
    if exif > 1:
        with pytest.raises(TypeError):
            ImageOps.exif_transpose(Image.open(tmp_path / "odd.png"))
    assert to_rgb(Image.open(tmp_path / "odd.png")).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("share", "width"), [(1.0, 40), (0.5, 20)])
def test_the_central_square_is_evaluated(tmp_path, share, width):
    image = Image.new("RGB", (80, 40), "black")
    left, top = (80 - width) // 2, (40 - width) // 2
    image.paste((200, 100, 50), (left, top, left + width, top + width))
    image.save(tmp_path / "x.png")
    value = colours(reader(crop_pct=share).load("x.png", tmp_path))
    expected = torch.tensor([200.0, 100, 50]).view(3, 1, 1).expand_as(value)
    assert torch.allclose(value[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1)
    larger = colours(reader(crop_pct=share, min_scale=0.9).load("x.png", tmp_path, generator()))
    assert larger.min() < 1  # training looks at everything


@pytest.mark.parametrize(("side", "size"), [(224, (695, 485)), (336, (500, 333)), (224, (333, 500))])
def test_the_whole_of_a_side_is_evaluated_at_any_size(tmp_path, side, size):
    """695 x 485: a square of the rounded scale would begin a hair above the picture."""
    photo(*size).save(tmp_path / "x.png")
    left, top, right, bottom = reader(patch_image_size=side, crop_pct=1.0)._central_box(*size)
    assert min(left, top) >= 0 and right <= size[0] and bottom <= size[1]
    assert reader(patch_image_size=side, crop_pct=1.0).load("x.png", tmp_path).shape == (3, side, side)


def test_the_central_square_is_what_torchvision_makes_of_it(tmp_path):
    image, bicubic = photo(300, 200), v2.InterpolationMode.BICUBIC
    image.save(tmp_path / "x.png")
    steps = v2.Compose([v2.Resize(80, bicubic), v2.CenterCrop(64), v2.PILToTensor()])
    ours = colours(reader(patch_image_size=64, crop_pct=0.8).load("x.png", tmp_path))
    # 300 x 200 pixels make 120 x 80, so that all edges are whole pixels
    assert (ours - steps(image).float()).abs().mean() < 1


def test_sizes_of_files_that_are_no_pictures(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    for cell in ("x.png", "none.png", ""):
        with pytest.raises(SampleError):
            picture_size(cell, tmp_path)


@pytest.mark.parametrize(
    "option",
    [
        {"flip_prob": 1.5},
        {"rand_augment": 31},
        {"color_jitter": -0.1},
        {"blur_prob": 2},
        {"crop_pct": 0.0},
        {"no_crop": 1},
    ],
)
def test_wrong_options(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        reader(**option)
