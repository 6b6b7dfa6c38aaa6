"""bfloat16 on CPUs that have no instructions for it."""

import logging
import platform

import pytest
import torch

from one_peace.tasks.precision import warn_of_emulation

BFLOAT16 = torch.bfloat16
WARNING = "no instructions for bfloat16"


@pytest.fixture
def machine(monkeypatch):
    """Sets the instructions that the CPU claims to have."""
    warn_of_emulation.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    yield lambda **has: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    warn_of_emulation.cache_clear()


def test_a_cpu_that_emulates_bfloat16_is_named_once(machine, caplog):
    machine(avx2=True, avx512_bf16=False, amx_bf16=False)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            warn_of_emulation("cpu", BFLOAT16)
    assert [WARNING in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("device", "dtype", "has"),
    [
        ("cpu", BFLOAT16, {"avx512_bf16": True, "amx_bf16": False}),
        ("cpu", BFLOAT16, {"avx512_bf16": False, "amx_bf16": True}),
        ("cpu", torch.float32, {"avx2": True}),
        ("cuda", BFLOAT16, {"avx2": True}),
    ],
)
def test_others_are_left_alone(machine, caplog, device, dtype, has):
    machine(**has)
    warn_of_emulation(device, dtype)
    assert not caplog.records
