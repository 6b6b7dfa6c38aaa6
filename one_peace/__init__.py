"""Import name of this checkout: ``one_peace.x`` is the folder ``x`` at the repository root.

Installed (editable or wheel), ``setup.py`` maps the package to the root instead; this shim serves a checkout that was
never installed, so that ``fairseq-train --user-dir user_module`` works from a plain ``git clone``.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parent.parent)]
