"""What is known of the plugins that come with TensorRT, and of its ONNX parser's own operators, as data.

Names, ports, types, bounds and versions are facts of the plugin configurations in TensorRT's open-source repository
(github.com/NVIDIA/TensorRT, plugin/*/*_PluginConfig.yaml and the plugins' README files, release 10) and of its ONNX
parser (github.com/onnx/onnx-tensorrt, docs/operators.md); every text is our own. A plugin's node stands in a domain of
its own here, so that onnx's checker lets it be: TensorRT finds a plugin by the name of the operator.
"""

from __future__ import annotations

from typing import Any

from graftwerk.backend.graph.operators import Attribute, Operator, Port

DOMAIN, PARSER_DOMAIN = "trt.plugins", "trt"
GROUP, PARSER_GROUP = "TensorRT plugins", "TensorRT's own operators"
_SOURCE = "TensorRT's plugin library (github.com/NVIDIA/TensorRT)"
_PARSER_SOURCE = "TensorRT's ONNX parser (github.com/onnx/onnx-tensorrt)"

_FLAG = (0, 1)
_PRECISION = (0, 1, 2)  # nvinfer1::DataType: kFLOAT, kHALF, kINT8
_TYPE_ID = "Datatype that it computes in, as TensorRT numbers them: 0 FP32, 1 FP16, 2 INT8"
_IOU = "Boxes that overlap a better one by more than this (intersection over union) are dropped"
_SCORE = "Boxes with a lower score are dropped"
_IMAGE = "Size of the network's image as channels, height, width"


def _a(
    name: str, type: str, doc: str, default: Any = None, *, choices: tuple[Any, ...] = (), low: float | None = None,
    high: float | None = None, optional: bool = False,
) -> Attribute:  # fmt: skip
    required = default is None and not optional
    return Attribute(name, type, required, default, doc, choices, low, high)


def _ports(*described: str) -> tuple[Port, ...]:
    """From texts such as `boxes: Corners`; a ? behind the name says that the port is optional, a * that there may be
    several."""
    found = []
    for text in described:
        name, _, doc = text.partition(": ")
        option = "optional" if name.endswith("?") else "variadic" if name.endswith("*") else "single"
        found.append(Port(name.rstrip("?*"), doc, option))
    return tuple(found)


def _p(
    name: str, versions: str, interface: str, doc: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...],
    *attributes: Attribute,
) -> Operator:  # fmt: skip
    known = tuple(versions.split())
    own = (
        Attribute("plugin_version", "string", known[-1] != "1", "1" if known[-1] == "1" else None,
                  f"Version in the plugin registry; there are {', '.join(known)}", known),
        Attribute("plugin_namespace", "string", False, "", "Namespace in the plugin registry"),
    )  # fmt: skip
    text = f"{doc}\n\nImplements {interface}; described for version {known[-1]}."
    return Operator(name, DOMAIN, GROUP, text, inputs, outputs, (*attributes, *own), source=_SOURCE, keywords="plugin")


PLUGINS: tuple[Operator, ...] = (
    _p("BatchedNMSDynamic_TRT", "1", "IPluginV2DynamicExt",
       "Non-maximum suppression class by class with a fixed number of results; for shapes that vary. TensorRT advises "
       "EfficientNMS_TRT in its place.",
       _ports("boxes: [batch, boxes, classes or 1, 4], corners of the boxes", "scores: [batch, boxes, classes]"),
       _ports("num_detections: [batch, 1]", "nmsed_boxes: [batch, keepTopK, 4]", "nmsed_scores: [batch, keepTopK]",
              "nmsed_classes: [batch, keepTopK]"),
       _a("shareLocation", "int", "All classes share one set of boxes", 1, choices=_FLAG),
       _a("backgroundLabelId", "int", "Class that is background and left out; -1 for none", -1, low=-1),
       _a("numClasses", "int", "Number of classes", low=1),
       _a("topK", "int", "Boxes of each class that go into the suppression", low=1),
       _a("keepTopK", "int", "Boxes of each image that come out", low=1),
       _a("scoreThreshold", "float", _SCORE, low=0), _a("iouThreshold", "float", _IOU, low=0),
       _a("isNormalized", "int", "Coordinates go from 0 to 1 rather than over pixels", 1, choices=_FLAG),
       _a("clipBoxes", "int", "Cut boxes off at the image; only for normalized ones", 1, choices=_FLAG),
       _a("scoreBits", "int", "Bits that scores are sorted by; fewer are faster", 16, low=1, high=16)),
    _p("CropAndResizeDynamic", "1 2", "IPluginV3", "Cuts regions out of a feature map and samples each to one size.",
       _ports("feature_maps: [N, C, H, W]", "rois: [N, regions, 4, 1], corners of the regions"),
       _ports("pfmap: [N, regions, C, crop_width, crop_height]"),
       _a("crop_height", "int", "Height of what is cut out, in samples", low=1),
       _a("crop_width", "int", "Width of what is cut out, in samples", low=1)),
    _p("CustomEmbLayerNormPluginDynamic", "6", "IPluginV3",
       "The embedding layer of BERT: adds word, segment and position embeddings, and normalizes the sum.",
       _ports("token_id: [sequence, batch] INT32", "segment_id: [sequence, batch] INT32",
              "input_mask: [sequence, batch] INT32, 1 where there is a token"),
       _ports("embedded_input: [sequence, batch, hidden, 1, 1]",
              "maskIdx: What the attention plugin takes as its mask"),
       _a("bert_embeddings_layernorm_beta", "floats", "Shift of the normalization, one value per hidden unit"),
       _a("bert_embeddings_layernorm_gamma", "floats", "Scale of the normalization, one value per hidden unit"),
       _a("bert_embeddings_word_embeddings", "floats", "Table of word embeddings, [words, hidden]"),
       _a("bert_embeddings_token_type_embeddings", "floats", "Table of segment embeddings, [segments, hidden]"),
       _a("bert_embeddings_position_embeddings", "floats", "Table of position embeddings, [positions, hidden]"),
       _a("output_fp16", "int", "Put out FP16 rather than FP32", 0, choices=_FLAG),
       _a("full_mask", "int", "Put out a whole mask for fused attention rather than lengths", 0, choices=_FLAG),
       _a("mha_type_id", "int", "Datatype of the attention behind it: 0 FP32, 1 FP16, 2 INT8", 0, choices=_PRECISION)),
    _p("CustomFCPluginDynamic", "1", "IPluginV2DynamicExt",
       "A matrix product with constant weights, for the layers of BERT.",
       _ports("input: [sequence, batch, K, 1, 1]"), _ports("output: [sequence, batch, out_dims, 1, 1]"),
       _a("out_dims", "int", "Number of outputs", low=1), _a("type_id", "int", _TYPE_ID, choices=_FLAG),
       _a("W", "floats", "Weights, [K, out_dims]")),
    _p("CustomGeluPluginDynamic", "1 2", "IPluginV3",
       "GELU in its tanh form, with a bias added before where there is one.",
       _ports("input: Any shape"), _ports("output: As the input"),
       _a("type_id", "int", _TYPE_ID, choices=_PRECISION),
       _a("bias", "floats", "Added before the activation, one value per channel", optional=True)),
    _p("CustomQKVToContextPluginDynamic", "4 5", "IPluginV3",
       "Multi-head attention of BERT from Q, K and V that lie behind each other, with fused kernels where there "
       "are some.",
       _ports("input: [sequence, batch, 3 · hidden, 1, 1]", "input_mask?: What CustomEmbLayerNormPluginDynamic makes"),
       _ports("output: [sequence, batch, hidden, 1, 1]"),
       _a("type_id", "int", _TYPE_ID, choices=_PRECISION), _a("hidden_size", "int", "Hidden units of all heads", low=1),
       _a("num_heads", "int", "Number of heads; it divides hidden_size", low=1),
       _a("has_mask", "int", "There is a second input with the mask", choices=_FLAG),
       _a("dq_probs", "float", "INT8: scale of the probabilities behind the softmax", optional=True, low=0),
       _a("var_seqlen", "int", "Sequences without padding, with their lengths in the mask", 0, choices=_FLAG),
       _a("use_int8_scale_max", "int", "INT8: a range for the scale that suits larger batches", 1, choices=_FLAG)),
    _p("CustomSkipLayerNormPluginDynamic", "5 6", "IPluginV3",
       "Adds a residual (and a bias) and normalizes the sum over the hidden units, in one kernel.",
       _ports("input: [sequence, batch, hidden, 1, 1]", "skip: The residual, as the input"),
       _ports("output: As the input"),
       _a("type_id", "int", _TYPE_ID, choices=_PRECISION), _a("beta", "floats", "Shift, one value per hidden unit"),
       _a("gamma", "floats", "Scale, one value per hidden unit"),
       _a("bias", "floats", "Added before, one value per hidden unit", optional=True)),
    _p("DetectionLayer_TRT", "1", "IPluginV2Ext",
       "The end of Mask R-CNN's box branch: refines regions by their deltas, and suppresses overlapping ones.",
       _ports("deltas: [N, regions, 4 · classes, 1, 1]", "scores: [N, regions, classes, 1, 1]",
              "rois: [N, regions, 4]"),
       _ports("detections: [N, keep_topk, 6]: corners, class and score"),
       _a("num_classes", "int", "Number of classes with the background", low=1),
       _a("keep_topk", "int", "Boxes of each image that come out", low=1),
       _a("score_threshold", "float", _SCORE, low=0), _a("iou_threshold", "float", _IOU, low=0)),
    _p("DisentangledAttention_TRT", "1 2", "IPluginV3",
       "The gathering of DeBERTa's attention: adds content-to-position and position-to-content terms to the scores.",
       _ports("data0: Content to content scores", "data1: Content to position scores",
              "data2: Position to content scores"),
       _ports("output: Their sum, scaled"),
       _a("span", "int", "Largest relative distance", low=1),
       _a("factor", "float", "What the sum is multiplied by, 1/√(3d) for heads of d units", low=0)),
    _p("EfficientNMS_TRT", "1", "IPluginV2DynamicExt",
       "Non-maximum suppression with a fixed number of results: what detection networks end in. With anchors it "
       "decodes "
       "the boxes too.",
       _ports("boxes: [batch, boxes, 4] or [batch, boxes, classes, 4]", "scores: [batch, boxes, classes]",
              "anchors?: [1 or batch, boxes, 4]; the boxes are offsets from them then"),
       _ports("num_detections: [batch, 1] INT32", "detection_boxes: [batch, max_output_boxes, 4]",
              "detection_scores: [batch, max_output_boxes]", "detection_classes: [batch, max_output_boxes] INT32"),
       _a("score_threshold", "float", _SCORE, 0.25, low=0), _a("iou_threshold", "float", _IOU, 0.5, low=0),
       _a("max_output_boxes", "int", "Boxes of each image that come out", 100, low=1),
       _a("background_class", "int", "Class that is background and left out; -1 for none", -1, low=-1),
       _a("score_activation", "int", "Put the scores through a sigmoid first", 0, choices=_FLAG),
       _a("class_agnostic", "int", "Suppress over all classes together", 0, choices=_FLAG),
       _a("box_coding", "int", "0: boxes are two corners; 1: centre, width and height", 0, choices=_FLAG)),
    _p("FlattenConcat_TRT", "1", "IPluginV2Ext", "Flattens each input behind the batch, and joins them.",
       _ports("inputs*: Tensors with the same batch"), _ports("output: [batch, all elements, 1, 1]"),
       _a("axis", "int", "Axis to join along", low=1, high=3),
       _a("ignoreBatch", "int", "Leave the batch out", choices=_FLAG)),
    _p("GenerateDetection_TRT", "1", "IPluginV2Ext",
       "The end of EfficientDet-like two-stage networks: decodes regions, and suppresses overlapping ones.",
       _ports("deltas: Box deltas", "scores: Class scores", "proposals: Regions"),
       _ports("detections: [N, keep_topk, 6]: corners, class and score"),
       _a("num_classes", "int", "Number of classes with the background", low=1),
       _a("keep_topk", "int", "Boxes of each image that come out", low=1),
       _a("score_threshold", "float", _SCORE, low=0), _a("iou_threshold", "float", _IOU, low=0),
       _a("image_size", "ints", _IMAGE, optional=True)),
    _p("GridAnchor_TRT", "1", "IPluginV2Ext", "Makes the anchor boxes of an SSD for all its feature maps.",
       (), _ports("outputs*: One for each feature map: anchors and variances"),
       _a("numLayers", "int", "Number of feature maps", low=1),
       _a("minSize", "float", "Scale of the smallest anchors, of the image", low=0, high=1),
       _a("maxSize", "float", "Scale of the largest anchors, of the image", low=0, high=1),
       _a("aspectRatios", "floats", "Width to height of the anchors"),
       _a("variance", "floats", "Four factors that deltas are scaled by"),
       _a("featureMapShapes", "ints", "Height and width of each feature map, or one number for square ones")),
    _p("GroupNormalizationPlugin", "1", "IPluginV2DynamicExt", "Normalizes over groups of channels.",
       _ports("input: [N, C, H, W]", "scale: [C]", "bias: [C]"), _ports("output: As the input"),
       _a("num_groups", "int", "Number of groups; it divides the channels", 1, low=1),
       _a("eps", "float", "Added to the variance", 1e-5, low=0)),
    _p("InstanceNormalization_TRT", "1 2 3", "IPluginV3",
       "Normalizes each channel of each image on its own; in INT8 it takes its scales from the engine.",
       _ports("input: [N, C, spatial…]", "scale?: [C], where it is no attribute",
              "bias?: [C], where it is no attribute"),
       _ports("output: As the input"),
       _a("epsilon", "float", "Added to the variance", 1e-5, low=0),
       _a("scales", "floats", "Scale of each channel", optional=True),
       _a("bias", "floats", "Shift of each channel", optional=True),
       _a("relu", "int", "A (leaky) ReLU behind it", 0, choices=_FLAG),
       _a("alpha", "float", "Slope of the leaky ReLU below zero", 0.0)),
    _p("ModulatedDeformConv2d", "1 2", "IPluginV3",
       "Deformable convolution with modulation (DCNv2): samples where offsets lead to, weighted by a mask.",
       _ports("x: [N, C, H, W]", "offset: [N, 2 · points · deformable_group, H, W]",
              "mask: [N, points · deformable_group, H, W]", "weight: [M, C / group, kernel, kernel]", "bias?: [M]"),
       _ports("output: [N, M, H, W]"),
       _a("stride", "ints", "Steps along height and width"),
       _a("padding", "ints", "Zeros around, along height and width"),
       _a("dilation", "ints", "Distance of the kernel's points"), _a("group", "int", "Groups of channels", 1, low=1),
       _a("deformable_group", "int", "Groups of channels that share offsets", 1, low=1)),
    _p("MultilevelCropAndResize_TRT", "1", "IPluginV2Ext",
       "Cuts regions out of the level of a feature pyramid that suits their size.",
       _ports("rois: [N, regions, 4]", "features*: The levels, finest first"),
       _ports("pooled: [N, regions, C, pooled_size, pooled_size]"),
       _a("pooled_size", "int", "Height and width of what is cut out", low=1),
       _a("image_size", "ints", _IMAGE, optional=True)),
    _p("MultilevelProposeROI_TRT", "1", "IPluginV2Ext",
       "Makes regions of interest from the scores and deltas of all levels of a feature pyramid.",
       _ports("inputs*: Deltas, scores and anchors of each level"), _ports("rois: [N, keep_topk, 4]"),
       _a("prenms_topk", "int", "Regions of each level that go into the suppression", low=1, high=4096),
       _a("keep_topk", "int", "Regions that come out", low=1),
       _a("fg_threshold", "float", "Regions with a lower foreground score are dropped", low=0),
       _a("iou_threshold", "float", _IOU, low=0), _a("image_size", "ints", _IMAGE, optional=True)),
    _p("MultiscaleDeformableAttnPlugin_TRT", "1 2", "IPluginV3",
       "The attention of Deformable DETR: samples a few points of several feature maps, and weighs them.",
       _ports("value: [N, all positions, heads, units]", "spatial_shapes: [levels, 2] height and width",
              "level_start_index: [levels]", "sampling_locations: [N, queries, heads, levels, points, 2]",
              "attention_weights: [N, queries, heads, levels, points]"),
       _ports("output: [N, queries, heads, units]")),
    _p("PillarScatterPlugin", "1", "IPluginV2DynamicExt",
       "PointPillars: puts the features of pillars back to their places in a dense picture from above.",
       _ports("features: [N, pillars, C]", "coords: Where each pillar stands", "params: How many pillars there are"),
       _ports("dense: [N, C, height, width]"),
       _a("dense_shape", "ints", "Height and width of the picture")),
    _p("ProposalLayer_TRT", "1", "IPluginV2Ext",
       "The region proposals of Mask R-CNN: decodes anchors by their deltas, and suppresses overlapping ones.",
       _ports("scores: Foreground scores of the anchors", "deltas: Of the anchors",
              "anchors?: Where they are not built in"),
       _ports("rois: [N, keep_topk, 4]"),
       _a("prenms_topk", "int", "Regions that go into the suppression", low=1, high=1024),
       _a("keep_topk", "int", "Regions that come out", low=1), _a("iou_threshold", "float", _IOU, low=0),
       _a("image_size", "ints", _IMAGE)),
    _p("ROIAlign_TRT", "1 2", "IPluginV3", "RoiAlign as ONNX has it: samples regions of a feature map bilinearly.",
       _ports("X: [N, C, H, W]", "rois: [regions, 4], corners", "batch_indices: [regions], the image of each"),
       _ports("Y: [regions, C, output_height, output_width]"),
       _a("coordinate_transformation_mode", "int", "1: half a pixel off, 0: not", 1, choices=_FLAG),
       _a("mode", "int", "0: the maximum of the samples, 1: their mean", 1, choices=_FLAG),
       _a("output_height", "int", "Height of what comes out", 1, low=1),
       _a("output_width", "int", "Width of what comes out", 1, low=1),
       _a("sampling_ratio", "int", "Samples along each side of a cell; 0: as many as its size asks for", 0, low=0),
       _a("spatial_scale", "float", "From the regions' coordinates to those of X", 1.0, low=0)),
    _p("Reorg_TRT", "1 2", "IPluginV2DynamicExt", "YOLOv2's space to depth: moves squares of pixels into channels.",
       _ports("input: [N, C, H, W]"), _ports("output: [N, C · stride², H / stride, W / stride]"),
       _a("stride", "int", "Height and width of the squares", low=1)),
    _p("ResizeNearest_TRT", "1", "IPluginV2Ext", "Enlarges height and width, each pixel repeated.",
       _ports("input: [N, C, H, W]"), _ports("output: [N, C, H · scale, W · scale]"),
       _a("scale", "float", "How many times larger", low=0)),
    _p("ScatterElements", "1 2", "IPluginV3", "ScatterElements as ONNX has it, with all its reductions.",
       _ports("data: Any shape", "indices: INT64, as the updates", "updates: What is put in"),
       _ports("output: As the data"),
       _a("reduction", "string", "What becomes of several values at one place", choices=("add", "mul", "min", "max")),
       _a("axis", "int", "Axis that the indices count along", 0)),
    _p("TopkLastDim", "1", "IPluginV3", "The k largest or smallest elements along the last axis, and where they are.",
       _ports("input: Any shape"), _ports("values: k along the last axis", "indices: INT32, where they were"),
       _a("type_id", "int", "Datatype: 0 FP32, 1 FP16, 3 INT32, 7 BF16", choices=(0, 1, 3, 7)),
       _a("k", "int", "How many", low=1), _a("is_largest", "int", "1: the largest, 0: the smallest", choices=_FLAG),
       _a("axis", "int", "The axis; the last one alone is done", -1)),
)  # fmt: skip


def _t(name: str, doc: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...], *attributes: Attribute) -> Operator:
    return Operator(name, PARSER_DOMAIN, PARSER_GROUP, doc, inputs, outputs, attributes, source=_PARSER_SOURCE,
                    keywords="quantize tensorrt")  # fmt: skip


_QUANTIZED = "Where x is scaled back by a scale of one value, one per channel, or one per block"
_AXIS = _a("axis", "int", "Axis of the blocks, or of the channels", -1)
_BLOCK = _a("block_size", "int", "Elements that share a scale", low=1)

#: Operators that only TensorRT's parser knows, written by quantization tools for types that ONNX had none for.
PARSER_OPERATORS: tuple[Operator, ...] = (
    _t("TRT_FP8QuantizeLinear", "Quantizes to FP8 (E4M3). From opset 19 on QuantizeLinear does it.",
       _ports("x: FP32, FP16 or BF16", "y_scale: One value", "y_zero_point?: Zero"), _ports("y: FP8")),
    _t("TRT_FP8DequantizeLinear", "Takes FP8 (E4M3) back. From opset 19 on DequantizeLinear does it.",
       _ports("x: FP8", "x_scale: One value", "x_zero_point?: Zero"), _ports("y: FP32, FP16 or BF16")),
    _t("TRT_INT4QuantizeLinear", "Quantizes to INT4. From opset 21 on QuantizeLinear does it.",
       _ports("x: FP32, FP16 or BF16", "y_scale: " + _QUANTIZED, "y_zero_point?: Zero"), _ports("y: INT4"),
       _AXIS, _BLOCK),
    _t("TRT_INT4DequantizeLinear", "Takes INT4 weights back. From opset 21 on DequantizeLinear does it.",
       _ports("x: INT4", "x_scale: " + _QUANTIZED, "x_zero_point?: Zero"), _ports("y: FP32, FP16 or BF16"),
       _AXIS, _BLOCK),
    _t("TRT_FP4DynamicQuantize", "Quantizes to FP4 (E2M1) with a scale that it finds for each block.",
       _ports("x: FP32, FP16 or BF16", "scale: Of the scales, one value"),
       _ports("y: FP4", "y_scale: One for each block"), _AXIS, _BLOCK,
       _a("scale_type", "int", "Datatype of the scales, as ONNX numbers them", optional=True)),
    _t("TRT_MXFP8DynamicQuantize", "Quantizes to MXFP8: FP8 with a power of two for each block of 32.",
       _ports("x: FP32, FP16 or BF16"), _ports("y: FP8", "y_scale: One for each block"), _AXIS,
       _a("block_size", "int", "Elements that share a scale", 32, low=1),
       _a("output_dtype", "int", "Datatype of y, as ONNX numbers them", optional=True)),
    _t("TRT_MXFP8DequantizeLinear", "Takes MXFP8 back.",
       _ports("x: FP8", "x_scale: One for each block"), _ports("y: FP32, FP16 or BF16"), _AXIS,
       _a("block_size", "int", "Elements that share a scale", 32, low=1),
       _a("output_dtype", "int", "Datatype of y, as ONNX numbers them", optional=True)),
)  # fmt: skip
