"""The door for ``fairseq-train --user-dir user_module``: importing it registers everything this project adds."""

from one_peace import criterions, models, optim, tasks  # noqa: F401
