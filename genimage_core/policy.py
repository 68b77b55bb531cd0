"""PURE: what is searched, validated when it is constructed; torch is not imported, so refusal is quick."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from genimage_core.limits import (
    CORNER,
    SPATIAL,
    SPECTRAL,
    BlendDomain,
    BlendOperation,
    Channels,
    MaskKind,
    MixKind,
    PhaseKind,
    check,
)


@dataclass(frozen=True)
class FrequencyPolicy:
    """What is searched: the greatest strength of every operation. The defaults change nothing.

    An operation acts on an image with the probability `*_prob`; its strength is then uniform between nothing
    and the value given here, as the blur of CNNSpot (Wang et al., CVPR 2020, sigma ~ U(0, 3)), unless stated
    otherwise. Frequencies are in cycles per pixel: 0.5 is the Nyquist frequency along an axis, sqrt(1/2) the
    corner. Operations on spectra keep the mean of a channel before the final clamp, but for mixing and for a
    mask without `mask_keeps_mean`.

    Attributes:
        mask_radius: R, 0 to 0.5 cycles per pixel; what it bounds depends on `mask_kind`.
        mask_kind: `low_pass` keeps |f| <= r, r ~ U(R, sqrt(1/2)); `high_pass` removes |f| < r, r ~ U(0, R);
            `ring` removes a band of width w ~ U(0, R) around c ~ U(0, 0.5); `random` removes each pair of
            conjugate bins with probability q ~ U(0, R) (frequency masking: Doloriel & Cheung, ICASSP 2024);
            `none` removes nothing.
        mask_softness: Width of a raised-cosine edge on the removed side, 0 (a hard edge) to 0.5 cycles per
            pixel; `random` has no edge.
        mask_keeps_mean: Spare f = 0.
        noise_scale: Standard deviation of the natural logarithm of the amplitude, 0 to 2: every bin of the
            band is multiplied by exp(s g), g ~ N(0, 1), s ~ U(0, noise_scale).
        noise_low: Lower end of the band; f = 0 never belongs to it.
        noise_high: Upper end of the band, up to sqrt(1/2).
        tilt: Greatest |t|, 0 to 2: amplitudes are multiplied by max(1, |f| / tilt_knee)^t,
            t ~ U(-tilt, tilt). Diffusion models miss the decay of natural spectra at the high end.
        tilt_knee: Frequency up to which nothing changes, 0.001 to 0.5 cycles per pixel.
        peak_scale: Greatest amplitude of the plane waves added to an image, 0 to 0.5 (AFA: Vaish et al.,
            CVPR 2024). Each wave fills one pair of bins; its frequency is uniform in radius between
            `peak_low` and `peak_high` and in direction, then rounded to a bin, and its phase is uniform.
        peak_count: How many waves an image gets, 1 to 16, all of one amplitude.
        peak_low: Lowest frequency of the waves.
        peak_high: Highest frequency of the waves, up to 0.5 cycles per pixel.
        phase_perturb_prob: Probability that the phases of an image are perturbed.
        phase_perturb_scale: Strength of the perturbation then, 0 to pi rad.
        phase_kind: `gaussian`: every bin's phase is shifted by N(0, scale^2); `uniform`: by U(-scale, scale).
        phase_low: Lower end of the band that is perturbed.
        phase_high: Upper end of the band that is perturbed, up to sqrt(1/2).
        amplitude_mix: Weight l of a partner's amplitude, 0 to 1: A = (1 - l) A_own + l A_partner under the
            image's own phase. A bin that is empty has no phase and stays empty. Partners share the class.
        mix_kind: `fact`: l ~ U(0, amplitude_mix) in all bins (Xu et al., CVPR 2021). `fda`: l = amplitude_mix
            for |f| <= r, r ~ U(0, mix_radius), the mean included (Yang & Soatto, CVPR 2020). `apr_p`:
            l = amplitude_mix in all bins (Chen et al., ICCV 2021). `apr_s`: likewise, but the partner is a
            copy of the image under the spatial companions, which make nothing else: they leave every image
            alone, whether or not it is mixed (ibid.). If the policy mixes nothing (`amplitude_mix`,
            `mix_prob` or `blend_alpha` is 0), they act on the image as under any other kind.
        mix_radius: 0 to sqrt(1/2) cycles per pixel, for `fda`.
        mix_across_classes: Take partners from the whole batch. A real image with the amplitude of a fake
            may carry the traces of the fake under the label of a real one.
        blend_alpha: Weight a of the augmented image x', the same for all images: 0 is the original x.
        blend_domain: `spatial`, or `magnitude_phase`: the weighted mean of the magnitudes, and each phase
            moves by the share a of the shorter arc.
        blend_operation: `average`: (1 - a) x + a x'. `add` and `subtract`: x + a (x' - m) and x - a (x' - m),
            where m is the mean of x' by channel; with it pictures would saturate. `overlay`:
            (1 - a) x + a o, where o = 2 x x' if x < 1/2 and 1 - 2 (1 - x)(1 - x') otherwise. All but
            `average` jump where strengths leave zero: a whole picture of weight a is combined with the
            image as soon as any operation on spectra acts on it, however weakly.
        channels: `rgb` treats the three channels alike, with the same strengths and fields; `independent`
            draws both for each (the partner is shared); `luma` changes the luma (BT.601) and adds its change
            to every channel, which keeps the differences of colour.
        flip_prob: Probability of mirroring left and right.
        vertical_flip_prob: Probability of mirroring top and bottom.
        rotation: Greatest angle, 0 to 180 degrees: U(-rotation, rotation).
        translation: Greatest shift as a share of the side, 0 to 0.5: U(-translation, translation) along
            either axis, rounded to whole pixels.
        blur_sigma: Greatest standard deviation of a Gaussian blur, 0 to 10 pixels.
        jpeg_prob: Probability of JPEG compression.
        jpeg_quality: Lowest quality, 1 to 100: uniform over the integers from there to 100.
        order: Names of all operations in the order they are applied in. Those on spectra stand together, for
            they share one transform. The spatial ones before them change what counts as the original, those
            after them the combined image.
    """

    mask_radius: float = 0.5
    mask_kind: MaskKind = "none"
    mask_softness: float = 0.0
    mask_keeps_mean: bool = True
    mask_prob: float = 1.0
    noise_scale: float = 0.0
    noise_low: float = 0.0
    noise_high: float = CORNER
    noise_prob: float = 1.0
    tilt: float = 0.0
    tilt_knee: float = 0.1
    tilt_prob: float = 1.0
    peak_scale: float = 0.0
    peak_count: int = 1
    peak_low: float = 0.0
    peak_high: float = 0.5
    peak_prob: float = 1.0
    phase_perturb_prob: float = 0.0
    phase_perturb_scale: float = 0.5
    phase_kind: PhaseKind = "gaussian"
    phase_low: float = 0.0
    phase_high: float = CORNER
    amplitude_mix: float = 0.0
    mix_kind: MixKind = "fact"
    mix_radius: float = 0.1
    mix_prob: float = 1.0
    mix_across_classes: bool = False
    blend_alpha: float = 1.0
    blend_domain: BlendDomain = "spatial"
    blend_operation: BlendOperation = "average"
    channels: Channels = "rgb"
    flip_prob: float = 0.0
    vertical_flip_prob: float = 0.0
    rotation: float = 0.0
    rotation_prob: float = 1.0
    translation: float = 0.0
    translation_prob: float = 1.0
    blur_sigma: float = 0.0
    blur_prob: float = 1.0
    jpeg_prob: float = 0.0
    jpeg_quality: int = 30
    order: str = "flip rotate translate mix tilt noise phase mask peaks blur jpeg"

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        check(asdict(self))

    @property
    def is_identity(self) -> bool:
        """Whether no image can change."""
        return not (self.spectral or any(self.spatial))

    @cached_property
    def spectral(self) -> tuple[str, ...]:
        """Operations on spectra that can change something, in order."""
        return self._acting(SPECTRAL) if self.blend_alpha > 0 else ()

    @cached_property
    def spatial(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Spatial companions that can change the image before and after its spectrum is, in order."""
        companions = () if self.copying else self._acting(SPATIAL)
        place = self.order.split().index
        first = min(map(place, SPECTRAL))
        early = tuple(name for name in companions if place(name) < first)
        return early, companions[len(early) :]

    @cached_property
    def copying(self) -> tuple[str, ...]:
        """Spatial companions that make the copy that `apr_s` takes for its partner, in order.

        None if the policy mixes nothing: then they are among `spatial`.
        """
        mixes = min(self.amplitude_mix, self.mix_prob, self.blend_alpha) > 0
        return self._acting(SPATIAL) if mixes and self.mix_kind == "apr_s" else ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON knows them; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FrequencyPolicy":
        """Make a policy of `values`; fields that are not named keep their defaults.

        Raises:
            ValueError: If a key is unknown or a value is not allowed.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown policy field {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**values)

    def _acting(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in self.order.split() if name in names and self._acts(name))

    def _acts(self, name: str) -> bool:
        """Whether an operation can change something."""
        match name:
            case "flip":
                return max(self.flip_prob, self.vertical_flip_prob) > 0
            case "mask":
                removes = self.mask_kind == "low_pass" or (self.mask_kind != "none" and self.mask_radius > 0)
                return removes and self.mask_prob > 0
            case "mix":
                partners = self.mix_kind != "apr_s" or self.copying
                return bool(partners) and min(self.amplitude_mix, self.mix_prob) > 0
        return all(getattr(self, field) > 0 for field in _STRENGTHS[name])


_STRENGTHS = {
    "rotate": ("rotation", "rotation_prob"),
    "translate": ("translation", "translation_prob"),
    "tilt": ("tilt", "tilt_prob"),
    "noise": ("noise_scale", "noise_prob"),
    "phase": ("phase_perturb_scale", "phase_perturb_prob"),
    "peaks": ("peak_scale", "peak_prob"),
    "blur": ("blur_sigma", "blur_prob"),
    "jpeg": ("jpeg_prob",),
}
