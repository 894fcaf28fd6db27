"""Where records go while a run lasts: TensorBoard, Weights & Biases, MLflow, your own."""

from ._mlflow import mlflow as mlflow
from ._tensorboard import tensorboard as tensorboard
from ._wandb import wandb as wandb
from .sink import Board as Board, Sink as Sink

__all__ = ["Board", "Sink", "mlflow", "tensorboard", "wandb"]
