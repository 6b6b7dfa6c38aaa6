"""The door for ``--user-dir examples/tuxpaint/ablation``: everything this project registers, and separate attention."""

from one_peace import user_module  # noqa: F401
from one_peace.examples.tuxpaint.ablation import separate  # noqa: F401
