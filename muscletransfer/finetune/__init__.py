"""Fine-tuning on few labels: the model, its Lightning module, callbacks and prediction."""

from muscletransfer.finetune.callbacks import (
    BestAndLast,
    FreezeNormStats,
    UnfreezeEncoder,
    default_callbacks,
)
from muscletransfer.finetune.model import SegmentationModel, build_segmentation_model
from muscletransfer.finetune.own_metrics import OwnMetrics
from muscletransfer.finetune.prediction import predict_slice
from muscletransfer.finetune.segmentation import SegmentationFineTuner
from muscletransfer.finetune.writer import PredictionWriter

__all__ = [
    "BestAndLast",
    "FreezeNormStats",
    "OwnMetrics",
    "PredictionWriter",
    "SegmentationFineTuner",
    "SegmentationModel",
    "UnfreezeEncoder",
    "build_segmentation_model",
    "default_callbacks",
    "predict_slice",
]
