"""Which parameters decay, and how fast each of them learns.

fairseq hands an optimizer parameters without their names, and its mixed precision wrappers copy nothing but a few
attributes of a parameter. So the task tags every parameter once, by name, right after it built the model
(:func:`tag_parameters`), in the one attribute that survives (``optim_overrides``); the optimizer's own config then
turns the tags into groups (:func:`parameter_groups`).
"""

import re
import weakref
from collections.abc import Iterable

from torch.nn import Parameter

# Learned positions and CLS tokens of any modality's adapter. Convolutional positions (`embed_positions.0.0.weight`) are
# no table and do not match.
_EXEMPT = re.compile(r"(en|de)coder_wrapper\.[^.]+_adapter\.(cls_embedding|pos_embed|embed_positions(\.weight)?)")
# Exempt by intent, but the released code lost them to a missing comma; `release_decay_list` decays them again.
_DECAYED_BY_THE_RELEASE = frozenset(
    {"decoder_wrapper.text_adapter.cls_embedding", "decoder_wrapper.image_adapter.pos_embed"}
)

_LAYER = re.compile(r"encoder_wrapper\.fusion_model\.layers\.(\d+)\.")
_LAYER_TABLE = re.compile(r"encoder_wrapper\.[^.]+_adapter\.rel_pos_table_list\.(\d+)\.")
_ADAPTER = re.compile(r"encoder_wrapper\.[^.]+_adapter\.")

_UNTAGGED = (
    "a parameter of shape {shape} reached the optimizer without its group. Flattened --fp16 and fully_sharded merge "
    "the parameters into one tensor, which cannot be grouped: add --fp16-no-flatten-grads, or use bf16. "
    "A task of your own calls one_peace.optim.tag_parameters(model.named_parameters()) in build_model."
)


def tag_parameters(named_parameters: Iterable[tuple[str, Parameter]]) -> None:
    """Write on each parameter of a model what its optimizer group depends on.

    Args:
        named_parameters: ``model.named_parameters()``: all of them, by their released names.

    Sets ``p.optim_overrides = {"of", "height", "no_weight_decay", "no_weight_decay_release"}``. ``of`` refers to p, so
    that a copy can be told from it. ``height`` is how many times the layer-wise decay applies: L + 1 - i, where L is
    the number of the encoder's layers, i = 0 for its adapters and i = k + 1 for its layer k (a layer's own relative
    position table counts with the layer); 0 for everything else.
    """
    named = list(named_parameters)
    layers = [int(layer.group(1)) for name, _ in named if (layer := _LAYER.match(name))]
    num_layers = 1 + max(layers, default=-1)
    for name, parameter in named:
        by_name = _EXEMPT.fullmatch(name) is not None
        low_dimensional = parameter.ndim <= 1
        parameter.optim_overrides = {
            "of": weakref.ref(parameter),
            "height": _height(name, num_layers),
            "no_weight_decay": low_dimensional or by_name,
            "no_weight_decay_release": low_dimensional or (by_name and name not in _DECAYED_BY_THE_RELEASE),
        }


def is_copy(trained: Parameter) -> bool:
    """Whether a tagged parameter is mixed precision's float32 copy of one of the model's."""
    return trained.optim_overrides["of"]() is not trained


def trained_as(parameter: Parameter, trained: Iterable[Parameter]) -> Parameter:
    """What ``trained``, an optimizer's parameters, holds for one of the model's: a float32 copy or itself."""
    tags = ((other, getattr(other, "optim_overrides", None)) for other in trained)
    return next((other for other, tag in tags if tag and tag["of"]() is parameter), parameter)


def _height(name: str, num_layers: int) -> int:
    if layer := _LAYER.match(name) or _LAYER_TABLE.match(name):
        return num_layers - int(layer.group(1))
    return num_layers + 1 if _ADAPTER.match(name) else 0


def parameter_groups(
    parameters: Iterable[Parameter], weight_decay: float, layer_decay: float = 1.0, release_decay_list: bool = False
) -> list[dict]:
    """Group tagged parameters for a ``torch.optim.Optimizer``.

    Args:
        parameters: those to train, in the model's order.
        weight_decay: decoupled weight decay of the groups that decay; the others get 0.
        layer_decay: d; a parameter's learning rate is the schedule's (min_lr included) times ``d ** height``.
        release_decay_list: decay the two tensors that the released code decays by mistake.

    Returns:
        One dict ``{"params", "lr_scale", "weight_decay"}`` for each (lr_scale, decays or not), in order of appearance.

    Raises:
        ValueError: a parameter carries no tag.
    """
    exempt = "no_weight_decay_release" if release_decay_list else "no_weight_decay"
    groups: dict[tuple[float, bool], list[Parameter]] = {}
    for parameter in parameters:
        tag = getattr(parameter, "optim_overrides", None)
        if tag is None or exempt not in tag:
            raise ValueError(_UNTAGGED.format(shape=tuple(parameter.shape)))
        groups.setdefault((layer_decay ** tag["height"], not tag[exempt]), []).append(parameter)
    return [
        {"params": members, "lr_scale": lr_scale, "weight_decay": weight_decay if decays else 0.0}
        for (lr_scale, decays), members in groups.items()
    ]
