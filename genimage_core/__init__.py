"""Detectors of generated images: data, frequency augmentation, training and evaluation, without Ray."""
