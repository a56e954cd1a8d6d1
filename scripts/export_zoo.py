"""Export small models of the architectures of keras-hub, with random weights, and print what came of each.

    pip install keras-hub          (it brings tensorflow-text; nothing is downloaded)
    python scripts/export_zoo.py [--only TEXT] [--opset N]

A row: the model, the outcome, the largest error as a share of the output's range, the number of operators, and how many of these are
Loop, Einsum and Shape, which hide from engines what a model does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from converter.errors import ConverterError
from converter.frontend.export import export_graph
from converter.progress import SILENT, Stages

TEXT = {"vocabulary_size": 30, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
SHORT = {"max_sequence_length": 40}
GROUPED = {"vocabulary_size": 30, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2, "hidden_dim": 16, "intermediate_dim": 24}
VISION = {"image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
EXPERTS = {"num_experts": 4, "top_k": 2}


def zoo(models: Any) -> dict[str, Callable[[], Any]]:
    """Name to what makes the model."""
    return {**_encoders(models), **_decoders(models), **_vision(models), **_convolutional(models)}


def _encoders(m: Any) -> dict[str, Callable[[], Any]]:
    return {
        "BERT": lambda: m.BertBackbone(**TEXT, **SHORT),
        "DistilBERT": lambda: m.DistilBertBackbone(**TEXT, **SHORT),
        "RoBERTa": lambda: m.RobertaBackbone(**TEXT, **SHORT),
        "ALBERT": lambda: m.AlbertBackbone(**TEXT, **SHORT, embedding_dim=6),
        "ELECTRA": lambda: m.ElectraBackbone(vocab_size=30, num_layers=2, num_heads=2, hidden_dim=8, embedding_dim=6, intermediate_dim=16, **SHORT),
        "DeBERTa V3": lambda: m.DebertaV3Backbone(**TEXT, **SHORT, bucket_size=4),
        "RoFormer V2": lambda: m.RoformerV2Backbone(**TEXT, head_size=4),
        "FNet": lambda: m.FNetBackbone(**{k: v for k, v in TEXT.items() if k != "num_heads"}, **SHORT),
        "XLNet": lambda: m.XLNetBackbone(**TEXT),
    }


def _decoders(m: Any) -> dict[str, Callable[[], Any]]:
    return {
        "GPT-2": lambda: m.GPT2Backbone(**TEXT, **SHORT),
        "GPT-NeoX": lambda: m.GPTNeoXBackbone(**TEXT, **SHORT, rotary_percentage=0.5),
        "OPT": lambda: m.OPTBackbone(**TEXT, **SHORT),
        "BLOOM": lambda: m.BloomBackbone(**TEXT),
        "Falcon": lambda: m.FalconBackbone(**{k: v for k, v in TEXT.items() if k != "num_heads"}, num_attention_heads=2),
        "Llama": lambda: m.LlamaBackbone(**GROUPED),
        "Mistral": lambda: m.MistralBackbone(**GROUPED, sliding_window=4),
        "Mixtral": lambda: m.MixtralBackbone(**GROUPED, **EXPERTS),
        "Phi-3": lambda: m.Phi3Backbone(**GROUPED),
        "Qwen 2": lambda: m.QwenBackbone(**GROUPED),
        "Qwen 3": lambda: m.Qwen3Backbone(**GROUPED, head_dim=4, sliding_window_size=4),
        "Gemma": lambda: m.GemmaBackbone(**GROUPED, head_dim=4),
        "Gemma 2": lambda: m.GemmaBackbone(**GROUPED, head_dim=4, attention_logit_soft_cap=50, use_sliding_window_attention=True,
                                           sliding_window_size=4, use_post_ffw_norm=True, use_post_attention_norm=True),
        "gpt-oss": lambda: m.GptOssBackbone(**GROUPED, **EXPERTS, sliding_window=4),
        "T5": lambda: m.T5Backbone(**TEXT),
        "BART": lambda: m.BartBackbone(**TEXT, **SHORT),
        "Whisper": lambda: m.WhisperBackbone(**TEXT, num_mels=8, max_encoder_sequence_length=64, max_decoder_sequence_length=40),
        "Moonshine": lambda: m.MoonshineBackbone(vocabulary_size=30, filter_dim=8, encoder_num_layers=1, decoder_num_layers=1, hidden_dim=8,
                                                 intermediate_dim=16, encoder_num_heads=2, decoder_num_heads=2),
    }


def _vision(m: Any) -> dict[str, Callable[[], Any]]:
    return {
        "ViT": lambda: m.ViTBackbone(**VISION, mlp_dim=16),
        "DeiT": lambda: m.DeiTBackbone(**VISION, intermediate_dim=16),
        "DINOv2": lambda: m.DINOV2Backbone(**VISION, intermediate_dim=16, position_embedding_shape=(32, 32, 3)),
        "CLIP vision": lambda: m.CLIPVisionEncoder(**VISION, intermediate_dim=16),
        "SigLIP vision": lambda: m.SigLIPVisionEncoder(**VISION, intermediate_dim=16),
        "Swin": lambda: m.SwinTransformerBackbone(image_shape=(32, 32, 3), embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4),
        "SAM encoder": lambda: m.ViTDetBackbone(hidden_size=8, num_layers=2, intermediate_dim=16, num_heads=2, global_attention_layer_indices=[1],
                                                image_shape=(32, 32, 3), patch_size=8, num_output_channels=8, window_size=2),
        "SegFormer": lambda: m.MiTBackbone(layerwise_depths=[1, 1], num_layers=2, layerwise_num_heads=[1, 2], layerwise_sr_ratios=[2, 1],
                                           max_drop_path_rate=0.1, layerwise_patch_sizes=[7, 3], layerwise_strides=[4, 2], image_shape=(32, 32, 3),
                                           hidden_dims=[8, 8]),
    }


def _convolutional(m: Any) -> dict[str, Callable[[], Any]]:
    image = {"image_shape": (32, 32, 3)}
    return {
        "ResNet": lambda: m.ResNetBackbone([64], [3], [64, 16], [1, 1], [1, 2], "basic_block", **image),
        "ResNet V2": lambda: m.ResNetBackbone([8], [3], [64, 16], [1, 1], [1, 2], "bottleneck_block", use_pre_activation=True, **image),
        "VGG": lambda: m.VGGBackbone([1, 1], [4, 8], **image),
        "DenseNet": lambda: m.DenseNetBackbone([2, 2], growth_rate=4, **image),
        "CSPNet": lambda: m.CSPNetBackbone(8, 3, 2, [1, 1], [1, 2], [8, 8], "dark", **image),
        "EfficientNet": lambda: m.EfficientNetBackbone(
            stackwise_kernel_sizes=[3, 5], stackwise_num_repeats=[1, 2], stackwise_input_filters=[8, 8], stackwise_output_filters=[8, 8],
            stackwise_expansion_ratios=[1, 2], stackwise_squeeze_and_excite_ratios=[0.25, 0.25], stackwise_strides=[1, 2],
            stackwise_block_types=["v1", "v1"], stackwise_force_input_filters=[0, 0], stackwise_nores_option=[False, False],
            stackwise_width_coefficients=[1.0, 1.0], stackwise_depth_coefficients=[1.0, 1.0], num_features=16, input_shape=(32, 32, 3)),
        "MobileNet": lambda: m.MobileNetBackbone(
            stackwise_expansion=[[8], [8, 16]], stackwise_num_blocks=[1, 2], stackwise_num_filters=[[8], [8, 8]], stackwise_kernel_size=[[3], [3, 5]],
            stackwise_num_strides=[[2], [1, 1]], stackwise_se_ratio=[[None], [0.25, 0.25]], stackwise_activation=[["relu"], ["hard_swish"] * 2],
            stackwise_padding=[[1], [1, 2]], output_num_filters=16, depthwise_filters=8, depthwise_stride=1, depthwise_residual=False,
            last_layer_filter=16, **image),
    }


def stirred(model: Any, seed: int = 0) -> Any:
    """Move every weight off the values that hide mistakes (0 and 1)."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if str(variable.dtype) == "float32" and "seed_generator" not in variable.path:
            positive = "variance" in variable.path
            noise = rng.uniform(0.5, 1.5, variable.shape) if positive else np.asarray(variable) + rng.normal(0, 0.1, variable.shape)
            variable.assign(noise.astype(np.float32))
    return model


def row(name: str, make: Callable[[], Any], opset: int | None) -> str:
    """One line of the table."""
    try:
        model = stirred(make())
    except (ValueError, TypeError, AttributeError) as error:
        return f"{name:15} cannot be built here: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    try:
        exported = export_graph(model, Stages(SILENT), opset=opset)
    except ConverterError as error:
        return f"{name:15} {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    kinds = [node.op_type for node in exported.graph.graph.all_nodes()]
    counts = "".join(f"{kinds.count(kind):8}" for kind in ("Loop", "Einsum", "Shape"))
    return f"{name:15} exported{exported.report.numbers['parity']['relative']:12.1e}{len(kinds):10}{counts}"


def main() -> int:
    """Print the table; 2 where keras-hub is not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only models whose name contains this text")
    parser.add_argument("--opset", type=int, default=None)
    given = parser.parse_args()
    try:
        import keras_hub
    except ImportError as error:
        print(f"keras-hub cannot be imported ({error}); install it with: pip install keras-hub", file=sys.stderr)
        return 2
    print(f"{'model':15} outcome {'error':>12}{'operators':>10}{'Loop':>8}{'Einsum':>8}{'Shape':>8}")
    for name, make in zoo(keras_hub.models).items():
        if given.only.lower() in name.lower():
            print(row(name, make, given.opset), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
