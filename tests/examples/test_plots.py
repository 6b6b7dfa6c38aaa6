"""Learning curves of logs in each of fairseq's formats, and the map of a space whose neighbours are known."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from one_peace.examples.plots import curves, joint_space
from one_peace.examples.retrieval import collect_items

SIMPLE = """\
2026-11-24 21:16:00 | INFO | fairseq_cli.train | {'_name': None, 'common': {'seed': 1}}
2026-11-24 21:17:13 | INFO | train_inner | epoch 004:     11 / 13 loss=19.37, itc_loss=3.64, num_updates=50, lr=0.000334
2026-11-24 21:18:07 | INFO | train_inner | epoch 008:      9 / 13 loss=17.681, itc_loss=nan, num_updates=100, lr=1e-05
2026-11-24 21:23:00 | INFO | valid | epoch 020 | valid on 'valid' subset | loss 1.893 | r_mean 39.22 | num_updates 100
2026-11-24 21:23:01 | INFO | held_out | epoch 020 | valid on 'held_out' subset | loss 2.5 | r_mean 9.5 | num_updates 100
"""
HYDRA = """\
[2026-11-24 23:25:59,289][train_inner][INFO] - epoch 001:     50 / 469 loss=26.289, num_updates=50, lr=0.0001
[2026-11-24 23:27:45,208][valid][INFO] - epoch 001 | valid on 'valid' subset | loss 4.1 | num_updates 60
"""
JSON = "\n".join(
    f"2026-11-24 21:17:13 | INFO | {name} | {json.dumps(values)}"
    for name, values in (
        ("train_inner", {"epoch": 1, "loss": "2.5", "num_updates": "30", "skipped": "a few"}),
        ("valid", {"epoch": 1, "valid_loss": "1.5", "valid_r_mean": "12.5", "valid_num_updates": "30"}),
    )
)


def _points(log, *key):
    curve = curves.read_log(log.splitlines())[key]
    return list(zip(curve.updates, curve.values, strict=True))


def test_every_format_is_read():
    assert _points(SIMPLE, "train_inner", "loss") == [(50, 19.37), (100, 17.681)]
    assert _points(SIMPLE, "train_inner", "lr") == [(50, 0.000334), (100, 1e-05)]
    assert np.isnan(_points(SIMPLE, "train_inner", "itc_loss")[1][1])
    assert _points(SIMPLE, "held_out", "r_mean") == [(100, 9.5)]
    assert _points(HYDRA, "train_inner", "loss") == [(50, 26.289)] and _points(HYDRA, "valid", "loss") == [(60, 4.1)]
    assert _points(JSON, "train_inner", "loss") == [(30, 2.5)] and _points(JSON, "valid", "r_mean") == [(30, 12.5)]


def test_what_a_resumed_run_did_again_counts_once():
    again = SIMPLE + SIMPLE.splitlines()[1].replace("19.37", "19.5")
    assert _points(again, "train_inner", "loss") == [(50, 19.5)]


def test_curves_are_drawn(tmp_path, capsys):
    for name, log in (("a", SIMPLE), ("b", JSON)):
        (tmp_path / f"{name}.log").write_text(log)
    out = tmp_path / "deep" / "curves.png"
    assert curves.main([f"first={tmp_path / 'a.log'}", str(tmp_path / "b.log"), "--out", str(out)]) == 0
    width, height = Image.open(out).size
    assert width > 2 * height, "a panel each for training's loss, r_mean and loss"
    with pytest.raises(SystemExit):
        curves.main([str(tmp_path / "a.log"), "--metrics", "valid:txt_r1", "--out", str(out)])
    assert "held_out:loss" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        curves.main([str(tmp_path / "none.log"), "--out", str(out)])
    assert "none.log: No such file" in capsys.readouterr().err


def test_neighbours_of_the_space_are_neighbours_on_the_map():
    """Two modalities far apart as wholes, both with the same five clusters: centred, clusters meet."""
    generator = torch.Generator().manual_seed(0)
    cluster = torch.arange(5).repeat_interleave(12)
    features = {
        name: torch.nn.functional.normalize(torch.eye(8)[cluster] + 3 * torch.eye(8)[place], dim=1)
        + 0.01 * torch.randn(60, 8, generator=generator)
        for name, place in (("text", 6), ("image", 7))
    }
    points = joint_space.place(features)
    assert points["text"].shape == points["image"].shape == (60, 2)
    distance = np.linalg.norm(points["text"][:, None] - points["image"][None], axis=-1)
    nearest = cluster.numpy()[distance.argmin(axis=1)]
    assert (nearest == cluster.numpy()).mean() > 0.95


def test_rows_that_show_most_are_drawn():
    cells = {"text": ["a", "b", "", "d"], "image": ["0", "", "2", "3"]}
    assert sorted(joint_space.choose_rows(cells, 5)) == [0, 3] and len(joint_space.choose_rows(cells, 1)) == 1
    items = collect_items(["a", "", "b", "a"])
    assert joint_space.labels_of(items, ["x", "y", "z", "w"]) == ["x", "z"]


def test_a_map_is_drawn(tmp_path):
    points = {name: np.random.default_rng(0).normal(size=(20, 2)) for name in ("text", "image")}
    labels = {name: [f"kind {i}" for i in range(20)] for name in points}
    joint_space.draw_map(points, labels, [points["text"][:2]], tmp_path / "map.png", "A map")
    colours = np.unique(np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 50
    with pytest.raises(SystemExit):
        joint_space.main(["model.pt", "m.tsv", "--columns", "text=caption", "--out", "m.png", "--limit", "1"])
