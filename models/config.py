"""Configuration of the network: plain dataclasses, checked where users hand them over.

Users write nested mappings under the released names (``encoder: {layers: 6, image_adapter: {...}}``), from yaml or as
one flag a group; a size preset fills the rest. `resolve` turns the two into a checked `EncoderConfig`.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omegaconf import OmegaConf

from one_peace.modalities import AdapterConfig, get_modality

from .flags import parse_mapping

# Released keys with one supported value, and those that tune the forked trainer only: accepted, without effect here.
_FIXED = {
    "normalize_before": True,
    "learned_pos": True,
    "activation_fn": "gelu",
    "layerdrop": 0.0,
    "max_positions": 1024,
}
_WITHOUT_EFFECT = {
    "_name",
    "embed_path",
    "layers_to_keep",
    "xformers_att_config",
    "fsdp_checkpoint_wrap_layer_preserve_frequency",
    "fsdp_checkpoint_wrap_layer_skip_frequency",
    "offload_activations",
}


@dataclass
class EncoderConfig:
    """The fusion encoder, or the pretraining decoder. Defaults are the released flags; widths come from a preset."""

    embed_dim: int = 1536
    ffn_embed_dim: int = 6144
    layers: int = 40
    attention_heads: int = 24
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    drop_path_rate: float = 0.0
    magneto_scale_attn: bool = True
    scale_attn: bool = False
    scale_fc: bool = True
    scale_heads: bool = False
    use_layer_scale: bool = True
    layer_scale_init_value: float = 1e-6
    init_std: float = 0.02  # of weights, embeddings and tokens; they are cut at one of it
    checkpoint_activations: bool = False
    adapters: dict[str, AdapterConfig] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """The nested mapping under the released names that `resolve` reads back to an equal config."""
        flat = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "adapters"}
        return flat | {f"{name}_adapter": dataclasses.asdict(config) for name, config in self.adapters.items()}


def parse_group(value: str | Mapping | None, where: str) -> dict[str, object]:
    """One configuration group as a plain mapping; it may also be text such as ``{layers: 6, image_adapter: {...}}``.

    Raises:
        ValueError: it is no mapping.
    """
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, str):
        try:
            value = parse_mapping(value)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: expected a mapping such as '{{layers: 6}}', got {value!r}")
    return dict(value)


def merge(*groups: Mapping[str, object]) -> dict[str, object]:
    """Nested mappings merged from left to right, the last one wins."""
    merged: dict[str, object] = {}
    for group in groups:
        for key, value in group.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return merged


def _coerce(value: object, kind: object, where: str) -> object:
    """``value`` as the dataclass field's type ``kind`` (int, float, bool, str, or one of them with None)."""
    options = typing.get_args(kind) or (kind,)
    if value is None and type(None) in options:
        return None
    for option in options:
        if option is float and isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                return float(value)  # yaml reads 1e-6 as text
            except ValueError:
                continue
        if isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return value
    wanted = " or ".join("nothing" if o is type(None) else o.__name__ for o in options)
    raise ValueError(f"{where}={value!r}: expected {wanted}")


def _build(config_class: type, values: Mapping[str, object], where: str) -> object:
    """A dataclass from a mapping, with a clear error for an unknown key or a wrong type."""
    fields = {f.name: f.type for f in dataclasses.fields(config_class)}
    fields.pop("adapters", None)
    known = {}
    for key, value in values.items():
        if key in _WITHOUT_EFFECT:
            continue
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else f" (known: {', '.join(fields)})"
            raise ValueError(f"unknown option {where}.{key}{hint}")
        known[key] = _coerce(value, fields[key], f"{where}.{key}")
    return config_class(**known)


def resolve(
    where: str,
    group: Mapping[str, object],
    modalities: Iterable[str],
    settings: Mapping[str, Mapping[str, object]],
    *,
    decoder: bool = False,
) -> EncoderConfig:
    """The checked config of an encoder or decoder.

    Args:
        where: name of the group, for messages (``encoder``).
        group: preset and user options merged.
        modalities: branches to build; options of others are ignored (one yaml serves several tasks).
        settings: per modality, what the data decides (vocabulary, image size); wins over the rest.
        decoder: build adapters without stems.

    Raises:
        ValueError: an option is unknown, of the wrong type or not supported; a message says which and what to do.
    """
    own, adapter_options = {}, {}
    for key, value in group.items():
        if key.endswith("_adapter"):
            name = key.removesuffix("_adapter")
            get_modality(name)  # a misspelt modality is an error even where it is not built
            adapter_options[name] = parse_group(value, f"{where}.{key}")
        elif key.startswith("use_") and key.endswith("_moe"):
            continue  # released flags; the task's modalities decide
        elif key in _FIXED:
            if value != _FIXED[key]:
                raise ValueError(f"{where}.{key}={value!r}: only {_FIXED[key]!r} is supported; leave the option out")
        else:
            own[key] = value
    config = _build(EncoderConfig, own, where)
    for name in modalities:
        modality = get_modality(name)
        defaults = modality.config.for_decoder() if decoder else {}
        known = {f.name for f in dataclasses.fields(modality.config)}
        decided = {key: value for key, value in settings.get(name, {}).items() if key in known}
        given = adapter_options.get(name, {})
        _check_agreement(modality.config, given, decided, f"{where}.{name}_adapter")
        config.adapters[name] = _build(modality.config, {**defaults, **given, **decided}, f"{where}.{name}_adapter")
    return config


def check_agreement(group: object, settings: Mapping[str, Mapping[str, object]], where: str) -> None:
    """ValueError where the adapters of a checkpoint's ``encoder`` were trained on data that meant something else.

    Args:
        group: the group of its configuration.
        settings: per modality, what the data at hand decides.
        where: the checkpoint, for messages.
    """
    saved = parse_group(group, "encoder")
    for name, decided in settings.items():
        given = parse_group(saved.get(f"{name}_adapter"), f"{name}_adapter")
        _check_agreement(get_modality(name).config, given, decided, f"{where}: encoder.{name}_adapter")


def _check_agreement(config: type, given: Mapping[str, object], decided: Mapping[str, object], where: str) -> None:
    """ValueError where a checkpoint's configuration tells that the data at hand means something else."""
    for spec in dataclasses.fields(config):
        old, new = given.get(spec.name), decided.get(spec.name)
        if "must_agree" in spec.metadata and None not in (old, new) and old != new:
            raise ValueError(f"{where}.{spec.name}: {new!r} instead of {old!r}: {spec.metadata['must_agree']}")
