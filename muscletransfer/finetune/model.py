"""The model that is fine-tuned: an encoder, a decoder and a head."""

from muscletransfer.decoders import SegmentationModel, build_segmentation_model

__all__ = ["SegmentationModel", "build_segmentation_model"]
