"""The names that tensors have in the authors' checkpoints."""

import re
from collections.abc import Callable

# Kit name -> published name. Applied in order, each to what the ones before it left.
_PUBLISHED_NAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^token_norm\.", "patch_embed.norm."),
    (r"^low_level\.conv", "low_level_feature_extraction"),
    (r"^high_level_a\.blocks\.", "high_level_feature_extraction1."),
    (r"^high_level_b\.blocks\.", "high_level_feature_extraction2."),
    (r"^reconstruction\.stack\.blocks\.", "feature_re."),
    (r"^reconstruction\.conv", "conv_last"),
    (r"^shallow\.conv_a\.", "shallow_fusion1."),
    (r"^shallow\.conv_b\.", "shallow_fusion2."),
    (r"^shallow\.exchange\.(\d+)\.", lambda m: f"channel_exchange{int(m[1]) + 1}."),
    (r"^(channel_exchange\d)\.mamba_a\.", r"\1.I1encoder."),
    (r"^(channel_exchange\d)\.mamba_b\.", r"\1.I2encoder."),
    (r"^(channel_exchange\d)\.norm_a\.", r"\1.norm1.body."),
    (r"^(channel_exchange\d)\.norm_b\.", r"\1.norm2.body."),
    (r"^deep\.blocks\.(\d+)\.", lambda m: f"M3_block{int(m[1]) + 1}."),
    (r"^(M3_block\d)\.conv\.", r"\1.dwconv."),
    (r"^(M3_block\d)\.norm_fused\.", r"\1.norm1.body."),
    (r"^(M3_block\d)\.norm_b\.", r"\1.norm2.body."),
    (r"^(M3_block\d)\.norm_a\.", r"\1.norm3.body."),
    (r"^(M3_block\d)\.(?=in_proj|ssm|out_proj)", r"\1.multi_modal_mamba_block."),
    (r"\.in_proj_fused\.", ".in_proj."),
    (r"\.in_proj_b\.", ".in_proj_extra1."),
    (r"\.in_proj_a\.", ".in_proj_extra2."),
    (r"\.ssm_fused\.", ".ssm."),
    (r"\.ssm_b\.A_log$", ".A_b_log"),
    (r"\.ssm_b\.D$", ".D_b"),
    (r"\.ssm_a\.D$", ".D_c"),
    (r"\.ssm_b\.(conv|x_proj|dt_proj)\.", r".ssm.\1_b."),
    (r"\.ssm_a\.(conv|x_proj|dt_proj)\.", r".ssm.\1_c."),
    (r"\.ssm\.conv", ".ssm.conv1d"),
    (r"\.ssm\.", "."),
    (r"^((?:high_level_feature_extraction\d|feature_re)\.\d+)\.mamba\.", r"\1.encoder."),
    (r"^((?:high_level_feature_extraction\d|feature_re)\.\d+)\.norm\.", r"\1.norm.body."),
]


def published_name(name: str) -> str:
    """The published network's name of a tensor of :class:`mambadfuse.MambaDFuse`.

    >>> published_name("deep.blocks.0.ssm_b.D")
    'M3_block1.multi_modal_mamba_block.D_b'
    """
    for pattern, replacement in _PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name
