"""The one table of the house: a modality's name -> its adapter (network), the adapter's config, its reader (data)."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Modality:
    """A plug. ``adapter`` turns raw input into a `Sequence`, ``reader`` turns a manifest cell into that raw input."""

    name: str
    adapter: type
    config: type
    reader: type


_MODALITIES: dict[str, Modality] = {}


def register_modality(name: str, *, config: type, reader: type) -> Callable[[type], type]:
    """Class decorator on an `Adapter`: plugs a modality in under ``name``.

    Args:
        name: the name users write in configs and that parameters carry (``{name}_adapter``, ``{name}_ffn``, ...);
            a lower-case Python identifier other than "joint".
        config: dataclass of the adapter's options (subclass of `AdapterConfig`).
        reader: subclass of `Reader`; how a manifest cell of this modality is loaded, masked and collated.

    Raises:
        ValueError: the name is not an identifier or belongs to another adapter.
    """
    if not (name.isidentifier() and name.islower()):
        raise ValueError(f"modality name {name!r}: must be a lower-case identifier")
    if name == "joint":
        raise ValueError("modality name 'joint': stands for pairs of modalities in options and logs")

    def plug(adapter: type) -> type:
        known = _MODALITIES.get(name)
        if known is not None and known.adapter is not adapter:
            raise ValueError(f"modality {name!r} is already registered by {known.adapter.__module__}")
        _MODALITIES[name] = Modality(name, adapter, config, reader)
        return adapter

    return plug


def get_modality(name: str) -> Modality:
    """The plug registered under ``name``; ValueError with the known names otherwise."""
    try:
        return _MODALITIES[name]
    except KeyError:
        near = difflib.get_close_matches(name, _MODALITIES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "import the module that registers it (--user-dir)"
        raise ValueError(f"unknown modality {name!r}; {hint} (known: {', '.join(sorted(_MODALITIES))})") from None


def modality_names() -> tuple[str, ...]:
    """All registered names, in order of registration."""
    return tuple(_MODALITIES)


def override_readers(
    saved: Mapping[str, Mapping[str, Any]], flat: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """A checkpoint's ``readers`` mapping, updated by flags (``flat``) and then by another such mapping, key by key."""
    kept = {name: {k: v for k, v in (options or {}).items() if flat.get(k) is None} for name, options in saved.items()}
    return {name: {**kept.get(name, {}), **(given.get(name) or {})} for name in kept | given}


def build_readers(names: Iterable[str], flat: Mapping[str, Any], nested: Mapping[str, Mapping] | None = None) -> dict:
    """The readers of some modalities, from a task's flags and its ``readers`` mapping (see `Reader.from_options`).

    Raises:
        ValueError: an unknown modality, or an option that its reader does not accept.
    """
    nested = nested or {}
    unused = set(nested) - set(names)
    if unused:
        raise ValueError(f"readers: {', '.join(sorted(unused))} is none of this task's modalities ({', '.join(names)})")
    return {name: get_modality(name).reader.from_options(flat, nested.get(name)) for name in names}
