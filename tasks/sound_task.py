"""Sounds to classify, with pictures of their video where ``--visual`` asks for them."""

from dataclasses import dataclass, field

from one_peace.data.sources import Columns, Frames

from .classify_task import ClassifyTask
from .options import ManifestTaskConfig

FRAMES = "frames"


@dataclass
class SoundTaskConfig(ManifestTaskConfig):
    """Options of `SoundTask`."""

    visual: bool = field(
        default=False,
        metadata={"help": f'read pictures too: paths joined by "|" in the fifth column, by default {FRAMES!r}'},
    )
    num_frames: int = field(default=3, metadata={"help": "pictures of a video that are read, evenly spaced"})


class SoundTask(ClassifyTask):
    """Each picture is read together with the sound, in a pass of its own; what the passes gave is averaged."""

    def __init__(self, cfg: SoundTaskConfig, **kwargs):
        if cfg.visual:
            self.modalities = (*self.modalities, "image")
            self.num_passes, self.pass_features = cfg.num_frames, "mean"
        super().__init__(cfg, **kwargs)

    def name_columns(self, selected: str) -> dict[str, str]:
        columns, names = super().name_columns(selected), selected.split(",")
        return columns | ({"image": names[4].strip() if len(names) > 4 else FRAMES} if self.cfg.visual else {})

    def sources(self, train: bool) -> Columns:
        frames = {"image": Frames((self.columns["image"],), self.cfg.num_frames)} if self.cfg.visual else {}
        return {**super().sources(train), **frames}
