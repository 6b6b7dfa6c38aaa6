"""Every test process, and what it starts, keeps to one thread: the suite runs on two processes of two cores."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

torch.set_num_threads(1)
# Time limits on single examples say more about the machine than about the code.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
