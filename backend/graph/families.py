"""Which family an operator belongs to: what the canvas colours by and the outline counts.

Families follow what an operator does to its data, and so roughly what a compiler does with it: `compute` is worth a
tensor-core kernel, `elementwise` and `activation` fuse behind one, `shape` moves data or only its description.
"""

from __future__ import annotations

FAMILIES: dict[str, str] = {
    "compute": "Convolution, MatMul, attention",
    "activation": "Activation",
    "elementwise": "Elementwise",
    "normalization": "Normalization",
    "reduction": "Pooling and reduction",
    "shape": "Shape and data movement",
    "quantize": "Quantize and cast",
    "control": "Control flow and functions",
    "constant": "Constant and generator",
    "plugin": "Plugin",
    "io": "Input and output",
    "other": "Other",
}
"""Every family with its title, in the order of a legend. `io` is for a graph's own inputs and outputs."""

_STANDARD = {
    "compute": """
        Attention CausalConvWithState Conv ConvInteger ConvTranspose DFT DeformConv Det Einsum FlexAttention GRU Gemm
        LSTM LinearAttention MatMul MatMulInteger QLinearConv QLinearMatMul RNN STFT
        LinearClassifier LinearRegressor SVMClassifier SVMRegressor TreeEnsemble TreeEnsembleClassifier
        TreeEnsembleRegressor""",
    "activation": """
        Celu Clip Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid
        Softmax Softplus Softsign SwiGLU Swish Tanh ThresholdedRelu""",
    "elementwise": """
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Cos Cosh
        Div Dropout Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg
        Not Or Pow Reciprocal RotaryEmbedding Round Sign Sin Sinh Sqrt StringConcat Sub Sum Tan Where Xor
        Adagrad Adam Binarizer Momentum""",
    "normalization": """
        BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization
        MeanVarianceNormalization RMSNormalization
        Imputer Normalizer Scaler""",
    "reduction": """
        ArgMax ArgMin AveragePool CumProd CumSum GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxRoiPool
        NegativeLogLikelihoodLoss NonMaxSuppression ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
        ReduceMin ReduceProd ReduceSum ReduceSumSquare RoiAlign SoftmaxCrossEntropyLoss TopK Unique""",
    "shape": """
        AffineGrid CenterCropPad Col2Im Compress Concat ConcatFromSequence DepthToSpace Expand Flatten Gather
        GatherElements GatherND GridSample Identity MaxUnpool NonZero OneHot Optional OptionalGetElement
        OptionalHasElement Pad Reshape Resize ReverseSequence Scatter ScatterElements ScatterND SequenceAt
        SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Size Slice SpaceToDepth Split
        SplitToSequence Squeeze TensorScatter Tile Transpose Trilu Unsqueeze Upsample
        ArrayFeatureExtractor CastMap CategoryMapper DictVectorizer FeatureVectorizer LabelEncoder OneHotEncoder
        ZipMap""",
    "quantize": "BitCast Cast CastLike DequantizeLinear DynamicQuantizeLinear QuantizeLinear",
    "control": "If Loop Scan SequenceMap",
    "constant": """
        Bernoulli BlackmanWindow Constant ConstantOfShape EyeLike HammingWindow HannWindow MelWeightMatrix Multinomial
        RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range""",
    "other": "Gradient ImageDecoder RegexFullMatch StringNormalizer StringSplit TfIdfVectorizer",
}

# ONNX Runtime's own operators; where one shares its name with a standard operator, the standard's family holds.
_MICROSOFT = {
    "compute": """
        AttnLSTM CDist ConvTransposeWithDynamicPads DecoderAttention DecoderMaskedMultiHeadAttention
        DecoderMaskedSelfAttention DynamicQuantizeLSTM DynamicQuantizeMatMul DynamicSparseAttention EngramGate FusedConv
        FusedGemm FusedMatMul FusedMatMulActivation GatedDeltaNet GatedRelativePositionBias GemmFastGelu GemmFloat8
        GroupQueryAttention Inverse Irfft LinearAttentionGate LongformerAttention MatMulBlockQuantizedFp4Weight
        MatMulBlockQuantizedFp8Weight MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits
        MatMulNBitsMlp MatMulNBitsQkv MoE MultiHeadAttention NhwcConv NhwcFusedConv PackedAttention
        PackedMultiHeadAttention PackedSparseAttentionIndexer PagedAttention QAttention QGemm QLinearConvTranspose QMoE
        QOrderedAttention QOrderedLongformerAttention QOrderedMatMul Rfft SparseAttention SparseAttentionIndexer
        SparsePagedAttention SparseToDenseMatMul TransposeMatMul VarlenCausalConvWithState WordConvEmbedding""",
    "activation": """
        BiasGelu BiasSoftmax BiasSplitGelu FastGelu QLinearLeakyRelu QLinearSigmoid QLinearSoftmax QOrderedGelu
        QuickGelu ScaledSiLU""",
    "elementwise": """
        BiasAdd BiasDropout BitmaskBiasDropout BitmaskDropout ComplexMul ComplexMulConj GatedAdd GemmaRotaryEmbedding
        HyperConnectionPostMix HyperConnectionPreMix MRotaryEmbedding MulInteger QLinearAdd QLinearMul QLinearWhere
        RelativePositionBias""",
    "normalization": """
        BranchwiseRMSNorm EmbedLayerNormalization GatedRMSNorm GroupNorm QEmbedLayerNormalization
        QOrderedLayerNormalization SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization
        SkipSimplifiedLayerNormalization""",
    "reduction": """
        BifurcationDetector DynamicTimeWarping IsAllFinite MaxpoolWithMask NhwcMaxPool QLinearAveragePool
        QLinearGlobalAveragePool QLinearReduceMean ReduceSumInteger""",
    "shape": """
        CropAndResize ExpandDims GatherBlockQuantized QLinearConcat RemovePadding ReorderInput ReorderOutput
        RestorePadding TorchEmbedding UnfoldTensor""",
    "quantize": "DequantizeBFP DequantizeWithOrder QuantizeBFP QuantizeWithOrder",
    "control": "BeamSearch GreedySearch Sampling WhisperBeamSearch",
    "other": """
        EPContext MurmurHash3 NGramHashMapping NGramRepeatBlock SampleOp Snpe Tokenizer VarlenNGramHashMapping""",
}


def _inverted(table: dict[str, str]) -> dict[str, str]:
    return {op: family for family, ops in table.items() for op in ops.split()}


_BY_STANDARD_OP = _inverted(_STANDARD)
_BY_RUNTIME_OP = _inverted(_MICROSOFT) | _BY_STANDARD_OP

_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"})
_RUNTIME_DOMAINS = frozenset({
    "com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc",
})


def op_family(op_type: str, domain: str = "") -> str:
    """The family of an operator, a key of FAMILIES.

    `plugin` is whatever neither ONNX nor ONNX Runtime defines: a node in a domain of its own, or one that an exporter
    left in the standard domain under a plugin's name (`EfficientNMS_TRT`). TensorRT's own quantizers
    (`trt::TRT_FP8QuantizeLinear` and the like) are `quantize`. A call of a model's local function looks like a plugin
    from here; who knows the model's functions shows it as `control`.
    """
    if op_type.endswith(("QuantizeLinear", "DequantizeLinear", "DynamicQuantize")):
        return "quantize"
    if domain in _STANDARD_DOMAINS:
        return _BY_STANDARD_OP.get(op_type, "plugin")
    if domain in _RUNTIME_DOMAINS:
        return _BY_RUNTIME_OP.get(op_type, "other")
    return "plugin"
