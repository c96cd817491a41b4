"""Runs an exported policy and plays whole episodes with it: numpy, onnxruntime and gymnasium, no torch."""
