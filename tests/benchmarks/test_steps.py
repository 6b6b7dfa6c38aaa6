"""The measuring command runs, and what it measures is the work it says."""

import json
import sys
from pathlib import Path

from one_peace.benchmarks import steps


def test_a_measurement_is_written_with_its_flops(tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "out.json"
    words = ["steps", "--only", "embed_text", "--repeats", "1", "--threads", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    steps.main()
    result = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == result
    # 16 texts of 21 to 25 positions: 6 layers of projections and GeGLU (3 matrices) on real positions only, attention
    # on padded ones, and the projection
    tokens, dim, ffn = sum(25 - i % 5 for i in range(16)), steps.WIDTHS["embed_dim"], steps.WIDTHS["ffn_embed_dim"]
    layer = tokens * (4 * dim * dim + 3 * dim * ffn) + 2 * 16 * 25 * 25 * dim
    expected = 2 * (6 * layer + 16 * dim * dim) / 1e9
    assert abs(result["embed_text"]["gflop"] - expected) < 0.01 * expected
