"""Nested configuration groups on fairseq's flat command line: one flag a group, as text or as a yaml file."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq.dataclass.utils import gen_parser_from_dataclass
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf


def parse_mapping(text: str) -> dict[str, Any]:
    """A mapping written in hydra's grammar, ``{layers: 6, image_adapter: {dropout: 0.1}}``; ValueError otherwise."""
    try:
        value = OverridesParser.create().parse_override(f"group={text}").value()
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"not a mapping such as '{{layers: 6, image_adapter: {{dropout: 0.1}}}}': {reason}") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"not a mapping such as '{{layers: 6}}': {text!r}")
    return _plain(value)


def _plain(value: Any) -> Any:
    """Hydra's parsed value without its wrappers for quoted text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return getattr(value, "text", value)


def _literal(value: Any) -> str:
    """``value`` in hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single).with_quotes()
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


class Group:
    """The value of a group flag. No ``str``: fairseq evaluates strings as Python literals, and quotes them."""

    def __init__(self, text: str):
        if text.endswith((".yaml", ".yml")):
            if not Path(text).is_file():
                raise argparse.ArgumentTypeError(f"no such file: {text}")
            values = OmegaConf.to_container(OmegaConf.load(text), resolve=True)
        else:
            try:
                values = parse_mapping(text)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None
        self.text = _literal(values)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def add_group_flags(parser, registered: type, *, delete_default: bool) -> None:
    """Adds a registered class's flags: its nested groups (fields of type Any) by `Group`, the rest as fairseq does.

    Of an option that is on by default fairseq would make a flag that turns it off; here ``--no-...`` does.

    Args:
        parser: fairseq's parser or argument group.
        registered: a class that fairseq's ``register_*`` decorators gave a dataclass.
        delete_default: leave defaults to presets (models).
    """
    config = registered.__dataclass()
    for name, spec in config.__dataclass_fields__.items():
        flag, explained = f"--{name.replace('_', '-')}", spec.metadata.get("help")
        if spec.type is Any:
            parser.add_argument(flag, type=Group, metavar="{...}", help=explained)
        elif spec.default is True:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=True, help=explained)
    gen_parser_from_dataclass(parser, config, delete_default=delete_default)
