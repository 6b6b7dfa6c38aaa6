"""The table of modalities, and the relative positions they share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.modalities import (
    Adapter,
    AdapterConfig,
    Reader,
    build_readers,
    get_modality,
    modality_names,
    register_modality,
)
from one_peace.modalities.relative_positions import (
    MAX_POSITIONS,
    grid_buckets,
    num_grid_buckets,
    num_token_buckets,
    token_buckets,
)


def test_built_in_modalities() -> None:
    assert modality_names()[:3] == ("text", "image", "audio")
    for name in ("text", "image", "audio"):
        modality = get_modality(name)
        assert issubclass(modality.adapter, Adapter) and issubclass(modality.reader, Reader)
        assert issubclass(modality.config, AdapterConfig)


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match=r"unknown modality 'imge'; did you mean 'image'"):
        get_modality("imge")
    with pytest.raises(ValueError, match="none of this task's modalities"):
        build_readers(["image"], {}, {"text": {}})


@pytest.mark.parametrize("name", ["Video", "two words", "1d", ""])
def test_names_are_lower_case_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case identifier"):
        register_modality(name, config=AdapterConfig, reader=Reader)


def test_joint_stands_for_pairs() -> None:
    with pytest.raises(ValueError, match="'joint': stands for pairs"):
        register_modality("joint", config=AdapterConfig, reader=Reader)


def test_a_name_is_not_taken_twice() -> None:
    class Other(Adapter):
        pass

    with pytest.raises(ValueError, match=r"already registered by one_peace.modalities.text"):
        register_modality("text", config=AdapterConfig, reader=Reader)(Other)


@given(st.integers(4, 300).map(lambda n: 2 * n), st.integers(2, 80))
def test_token_buckets(bucket: int, length: int) -> None:
    index = token_buckets(length, bucket)
    body = index[1:, 1:]
    assert int(index.min()) >= 0 and int(index.max()) < num_token_buckets(bucket)
    assert index[0, 0] == 2 * bucket + 1
    assert set(index[0, 1:].tolist()) == {2 * bucket - 1} and set(index[1:, 0].tolist()) == {2 * bucket}
    if length > 2:
        assert torch.equal(body[1:, 1:], body[:-1, :-1])  # the distance decides
        assert (body[:, 0].diff() >= 0).all()  # farther never means a smaller bucket
        assert torch.equal(body[:, 0] - (bucket - 1), -(body[0] - (bucket - 1)))  # odd in the distance


@given(st.integers(1, 12))
def test_grid_buckets(grid: int) -> None:
    index = grid_buckets(grid, grid)
    body = index[1:, 1:]
    total = num_grid_buckets(grid)
    assert sorted(set(body.flatten().tolist())) == list(range((2 * grid - 1) ** 2))
    assert (index[0, 1:] == total - 3).all() and (index[1:, 0] == total - 2).all() and index[0, 0] == total - 1
    assert (body.diagonal() == body[0, 0]).all()


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_rectangle_is_cut_out_of_its_square(height: int, width: int) -> None:
    side = max(height, width)
    patches = torch.arange(1, 1 + side**2).view(side, side)[:height, :width].flatten()
    kept = torch.cat([torch.zeros(1, dtype=torch.long), patches])
    assert torch.equal(grid_buckets(height, width), grid_buckets(side, side)[kept][:, kept])


def test_too_long_a_sequence_is_refused() -> None:
    token_buckets(MAX_POSITIONS, 16)
    with pytest.raises(ValueError, match="1025 positions"):
        token_buckets(MAX_POSITIONS + 1, 16)
