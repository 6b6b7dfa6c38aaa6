"""One module a benchmark: the official download in, manifests of the released columns out.

``python -m one_peace.data.prepare.vqa --help`` and so on; run_scripts/<benchmark>/prepare.sh calls them.
"""
