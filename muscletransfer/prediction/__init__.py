"""From image files to masks, measures, quality flags and a page to look through."""

from muscletransfer.prediction.cases import PredictionCase, Problem, find_cases
from muscletransfer.prediction.networks import BatchPrediction, Ensemble
from muscletransfer.prediction.outcome import Outcome
from muscletransfer.prediction.quality import FLAGS, Quality, Thresholds
from muscletransfer.prediction.run import PredictionRun, predict_cases

__all__ = [
    "FLAGS",
    "BatchPrediction",
    "Ensemble",
    "Outcome",
    "PredictionCase",
    "PredictionRun",
    "Problem",
    "Quality",
    "Thresholds",
    "find_cases",
    "predict_cases",
]
