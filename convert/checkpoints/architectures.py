"""Which other network a file holds, by the names that its authors give to layers: for messages alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from convert.errors import CheckpointError

__all__ = ["naming_architecture"]

_KNOWN: Final = (
    # detectors and whole families first: their backbones have the names of others
    ("a YOLO detector", (r"(^|\.)model\.\d+\.(cv\d|m\.\d+\.cv\d|dfl|anchors)\b",)),
    ("an SSD detector", (r"(classification_head|regression_head|bbox_head|(^|\.)(loc|conf)\.\d+\.)",)),
    ("a vision transformer", (r"(cls_token|patch_embed|class_token|vit\.encoder|attn\.qkv|in_proj_weight)",)),
    ("GhostNet", (r"ghost\d?\.(primary_conv|cheap_operation)",)),
    ("MnasNet", (r"(^|\.)layers\.\d+\.\d+\.layers\.\d+\.",)),
    ("MobileNetV4", (r"(^|\.)blocks\.\d+\.\d+\.dw_(start|mid|end)\.",)),
    ("EfficientNet", (r"(efficientnet|^block\da_|_fc\.weight$|\.blocks?\.\d+\._expand)",)),
    ("MobileNetV3", (r"(mobile_?net_?v3|expanded_conv_\d+_squeeze)",)),
    ("MobileNetV3", (r"features\.\d+\.block\.\d+\.", r"\.fc1\.")),
    ("MobileNetV3", (r"blocks\.\d+\.\d+\.se\.conv_", r"^conv_head\.bias", r"\.conv_pwl\.")),
    ("EfficientNet", (r"features\.\d+\.\d+\.block\.", r"\.fc1\.")),
    ("EfficientNet or MnasNet", (r"blocks\.\d+\.\d+\.se\.conv_", r"\.conv_pwl\.")),
    ("MobileNet EdgeTPU or EfficientNetV2", (r"blocks\.\d+\.\d+\.conv_exp\.",)),
    ("MobileNetV2", (r"(mobile_?net_?v2|^block_\d+_expand)",)),
    ("MobileNetV2", (r"features[./]\d+[./]conv[./]\d+[./]",)),
    ("MobileNetV2", (r"features\.\d+/conv/conv\.\d+",)),
    ("MobileNetV2", (r"blocks\.\d+\.\d+\.conv_pwl\.",)),
    ("MobileNetV2", (r"layer\.\d+\.(expand_1x1|reduce_1x1)\.",)),
    ("a ResNet", (r"layer\d\.\d+\.(conv[12]|bn1|downsample)\b", r"layer4\.")),
    ("a ResNet", (r"(resnet|^conv\d_block\d+_\d_conv$)",)),
    ("a DenseNet", (r"dense(block|layer)_?\d",)),
    ("ShuffleNet", (r"stage\d\.\d+\.branch\d",)),
    ("SqueezeNet", (r"(fire\d|features\.\d+\.(squeeze|expand1x1)\.)",)),
    ("Inception", (r"(inception_?[v\d]|(^|\.)Mixed_\d)",)),
    ("ConvNeXt", (r"(convnext|stages\.\d+\.blocks\.\d+\.(gamma|conv_dw)$)",)),
    ("Xception", (r"(xception|^block\d+_sepconv\d)",)),
    ("NASNet", (r"(nasnet|^separable_conv_\d_bn_(reduction|normal))",)),
    ("VGG", (r"(^vgg\d\d|^block\d_conv\d$)",)),
)
"""Networks, and patterns of which a file's names have to have each; the first whose are all there."""


@contextlib.contextmanager
def naming_architecture(path: Path, names: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Refuse another network by what it is, where the names of its tensors or layers say so.

    Args:
        path: The file.
        names: Gives them; called after a refusal alone.

    Raises:
        CheckpointError: The code within raised one, which stands where nothing is known of the names.
    """
    try:
        yield
    except CheckpointError as reason:
        found = _architecture(names())
        if not found:
            raise
        raise CheckpointError(
            f"{path} is {found}, by the names in it: expected a MobileNet v1. A .tflite file of another network "
            "becomes a bundle as it is: edge bundle import."
        ) from reason


def _architecture(names: Iterable[str]) -> str:
    """What it is, or nothing."""
    text = "\n".join(names)
    for label, patterns in _KNOWN:
        if all(re.search(pattern, text, re.MULTILINE | re.IGNORECASE) for pattern in patterns):
            return label
    return ""
