"""Spec: a ResNet-34 on the normalised log-spectra of the three channels; phases are dropped.

Source: Zhang et al., "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019, with the constants
of the authors' code. Theirs swaps red and blue, which is a matter of the first layer's weights.
"""

import torch
from torch import Tensor, nn

from genimage_core.detectors.backbones import Parts, build_resnet, pooled_head

FLOOR = 1e-3  # added to amplitudes of images in [0, 1]
PERCENTILES = (0.05, 0.95)


class LogSpectrum(nn.Module):
    """Maps images in [0, 1], (B, 3, H, W), to their log-amplitudes in [-1, 1], in the order of the FFT.

    In every channel the 5th and the 95th percentile become -1 and 1; what lies beyond is cut off. The
    spectrum is not shifted: f = 0 is at the upper left.
    """

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            logarithm = (torch.fft.fft2(images.float()).abs() + FLOOR).log()
            shares = torch.tensor(PERCENTILES, device=images.device)
            low, high = torch.quantile(logarithm.flatten(2), shares, dim=2)[..., None, None]
            # A flat image has one value everywhere but at f = 0.
            scaled: Tensor = (logarithm - low) / (high - low).clamp_min(1e-6) * 2 - 1
            return scaled.clamp_(-1, 1)


def build_spec(*, pretrained: bool, dropout: float, drop_path: float) -> tuple[nn.Module, Parts, nn.Module]:
    """Build the front, the five parts and the head."""
    parts, channels = build_resnet(34, pretrained=pretrained, drop_path=drop_path)
    return LogSpectrum(), parts, pooled_head(channels, dropout)
