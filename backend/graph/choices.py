"""What attributes may be beyond what a schema can say: the texts that the specification lists, flags, least values.

Source: the texts of the ONNX operator specification (onnx.ai/onnx/operators), of all versions of an operator together,
so that nothing is refused that some opset allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Integer attributes that mean a datatype.
DTYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "stash_type", "precision", "softmax_precision"})

_PADDING = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_REDUCTION = ("none", "add", "mul", "min", "max")
_LOSS = ("none", "mean", "sum")
_DIRECTION = ("forward", "reverse", "bidirectional")
_POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")

#: By operator and attribute; `*` stands for every operator.
_TEXTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("*", "auto_pad"): _PADDING,
    ("*", "post_transform"): _POST,
    ("Resize", "mode"): ("nearest", "linear", "cubic"),
    ("Resize", "coordinate_transformation_mode"): (
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_half_pixel_for_nn", "tf_crop_and_resize",
    ),
    ("Resize", "nearest_mode"): ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    ("Resize", "keep_aspect_ratio_policy"): ("stretch", "not_larger", "not_smaller"),
    ("Upsample", "mode"): ("nearest", "linear", "bilinear"),
    ("Pad", "mode"): ("constant", "reflect", "edge", "wrap"),
    ("GridSample", "mode"): ("linear", "nearest", "cubic", "bilinear", "bicubic"),
    ("GridSample", "padding_mode"): ("zeros", "border", "reflection"),
    ("RoiAlign", "mode"): ("avg", "max"),
    ("RoiAlign", "coordinate_transformation_mode"): ("half_pixel", "output_half_pixel"),
    ("DepthToSpace", "mode"): ("DCR", "CRD"),
    ("ScatterElements", "reduction"): _REDUCTION,
    ("ScatterND", "reduction"): _REDUCTION,
    ("TensorScatter", "mode"): ("linear", "circular"),
    ("Gelu", "approximate"): ("none", "tanh"),
    ("BitShift", "direction"): ("LEFT", "RIGHT"),
    ("LSTM", "direction"): _DIRECTION,
    ("GRU", "direction"): _DIRECTION,
    ("RNN", "direction"): _DIRECTION,
    ("NegativeLogLikelihoodLoss", "reduction"): _LOSS,
    ("SoftmaxCrossEntropyLoss", "reduction"): _LOSS,
    ("ImageDecoder", "pixel_format"): ("RGB", "BGR", "Grayscale"),
    ("StringNormalizer", "case_change_action"): ("NONE", "LOWER", "UPPER"),
    ("TfIdfVectorizer", "mode"): ("TF", "IDF", "TFIDF"),
    ("Normalizer", "norm"): ("MAX", "L1", "L2"),
    ("SVMClassifier", "kernel_type"): ("LINEAR", "POLY", "RBF", "SIGMOID"),
    ("SVMRegressor", "kernel_type"): ("LINEAR", "POLY", "RBF", "SIGMOID"),
}
TEXTS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(_TEXTS)

#: Integer attributes of the standard set that are 0 or 1.
FLAGS = frozenset({
    "keepdims", "select_last_index", "ceil_mode", "count_include_pad", "exclusive", "reverse", "noop_with_empty_axes",
    "transA", "transB", "allowzero", "largest", "sorted", "align_corners", "linear_before_reset", "input_forget",
    "storage_order", "upper", "inverse", "onesided", "periodic", "fmod", "detect_negative", "detect_positive",
    "is_case_sensitive", "across_channels", "center_point_box", "is_causal", "interleaved", "exclude_outside",
    "antialias", "keepdim", "training_mode",
})  # fmt: skip

#: Least values of integer attributes of the standard set.
LEAST: Mapping[str, int] = MappingProxyType({
    "group": 1, "num_outputs": 1, "blocksize": 1, "hidden_size": 1, "num_groups": 1, "output_height": 1,
    "output_width": 1, "num_scan_inputs": 1, "p": 1, "size": 1, "offset_group": 1, "q_num_heads": 1, "kv_num_heads": 1,
    "num_heads": 1,
})  # fmt: skip


def texts_of(op_type: str, name: str) -> tuple[str, ...]:
    """The texts that an attribute of a standard operator may be; none where any may be."""
    return TEXTS.get((op_type, name)) or TEXTS.get(("*", name), ())
