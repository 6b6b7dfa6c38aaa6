"""The door for ``--user-dir examples/new_modality``: everything this project registers, and one modality more."""

from one_peace import user_module  # noqa: F401
from one_peace.examples.new_modality import vector  # noqa: F401
