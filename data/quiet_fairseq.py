"""Imports fairseq, and takes back what that does to logging.

A task of fairseq's turns on the debug messages of every library, unless somebody has set logging up before, as the
commands of fairseq have. Imported before fairseq, wherever a program may begin.
"""

import logging

_root = logging.getLogger()
_handlers, _level = list(_root.handlers), _root.level

import fairseq.tasks  # noqa: E402, F401

_root.handlers[:] = _handlers
_root.setLevel(_level)
