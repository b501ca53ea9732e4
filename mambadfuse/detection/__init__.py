"""A tiny detector of objects in pairs of images, to see what fusion is worth to it.

It answers in every cell of 4 x 4 pixels: is the centre of an object here, how large is it, where in the cell does it
lie ("Objects as Points", Zhou, Wang and Krähenbühl 2019). The same detector is trained on each side of the pairs, on
fusions of both, and on both as two channels; average precision says which input serves it best.
"""

from mambadfuse.detection.average_precision import AveragePrecision, average_precision
from mambadfuse.detection.boxes import Detections, Objects, intersection_over_union
from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.decoding import decode
from mambadfuse.detection.detector_file import DetectorMetadata, load_detector, save_detector
from mambadfuse.detection.evaluation import detect, detection_scores
from mambadfuse.detection.inputs import INPUTS, input_image
from mambadfuse.detection.loss import detection_loss, focal_loss
from mambadfuse.detection.matrix import read_results, run_matrix
from mambadfuse.detection.network import Detector, Maps
from mambadfuse.detection.report import compare, report, verdict
from mambadfuse.detection.targets import Targets, targets
from mambadfuse.detection.training import DetectorConfig, train_detector

__all__ = [
    "INPUTS", "AveragePrecision", "DetectionSet", "Detections", "Detector", "DetectorConfig", "DetectorMetadata",
    "Maps", "Objects", "Targets", "average_precision", "compare", "decode", "detect", "detection_loss",
    "detection_scores", "focal_loss", "input_image", "intersection_over_union", "load_detector", "read_results",
    "report", "run_matrix", "save_detector", "targets", "train_detector", "verdict",
]  # fmt: skip
