"""onnxruntime's CPU provider. What fuses was read off its optimised graphs; ``tests/targets`` asks it again."""

from __future__ import annotations

from converter.spec.target import OpRule, Role, Saturation, Target
from converter.targets import TARGETS

_ACTIVATIONS = ("Relu", "Clip")

ORT_CPU = TARGETS.add("ort-cpu", Target(
    name="ort-cpu",
    summary="onnxruntime on a CPU: x86 with AVX2 or VNNI, Arm; one file that is right on all of them",
    opset=23,  # 18 to 23 fuse into the same integer kernels, measured on onnxruntime 1.32 for every rule below (see tests/targets)
    rules=(
        OpRule("Conv", Role.COMPUTE, _ACTIVATIONS, weight=True, note="QLinearConv, channels-last kernels"),
        OpRule("Gemm", Role.COMPUTE, _ACTIVATIONS, weight=True, note="QGemm; writes float where nothing quantized follows"),
        OpRule("MatMul", Role.COMPUTE, _ACTIVATIONS, weight=True, note="QLinearMatMul, or MatMulIntegerToFloat at the end"),
        OpRule("Add", Role.COMPUTE, _ACTIVATIONS, note="QLinearAdd"),
        OpRule("Mul", Role.COMPUTE, note="QLinearMul"),
        OpRule("Concat", Role.COMPUTE, note="QLinearConcat, rescales its inputs"),
        OpRule("AveragePool", Role.COMPUTE, note="QLinearAveragePool"),
        OpRule("GlobalAveragePool", Role.COMPUTE, note="QLinearGlobalAveragePool"),
        OpRule("LeakyRelu", Role.COMPUTE, note="QLinearLeakyRelu"),
        OpRule("Sigmoid", Role.COMPUTE, note="QLinearSigmoid"),
        OpRule("MaxPool", Role.PASS, note="runs on the codes"),
        *(OpRule(op, Role.PASS, note="moves codes") for op in ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice")),
    ),
    saturation=Saturation.PAIRS,
    integer_kernels=frozenset({"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "ConvInteger", "MatMulInteger"}),
))
