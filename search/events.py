"""TensorBoard event files, written without torch or TensorFlow."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

FLUSH_S = 5


class EventWriter:
    """One folder of one trial."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self._writer = EventFileWriter(str(folder), flush_secs=FLUSH_S, filename_suffix=suffix)

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers by tag."""
        summary = summary_pb2.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value)
        self._add(summary, step)

    def add_image(self, tag: str, pixels: Any, step: int = 0) -> None:
        """Add a picture, uint8 (H, W, 3)."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        image = summary_pb2.Summary.Image(
            height=pixels.shape[0],
            width=pixels.shape[1],
            colorspace=3,
            encoded_image_string=buffer.getvalue(),
        )
        summary = summary_pb2.Summary()
        summary.value.add(tag=tag, image=image)
        self._add(summary, step)

    def add_hyperparameters(self, values: Mapping[str, Any], group: str) -> None:
        """Add a configuration to the HParams page; the metrics there are the scalars of the same folder."""
        self._add(summary_v2.hparams_pb(dict(values), trial_id=group), 0)

    def add_text(self, tag: str, text: str) -> None:
        """Add Markdown."""
        self._add(text_pb(tag, text), 0)

    def flush(self) -> None:
        """Write out what has been added."""
        self._writer.flush()

    def close(self) -> None:
        """Write out and end."""
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        serialised = summary.SerializeToString()
        event = event_pb2.Event(wall_time=time.time(), step=step)
        event.summary.ParseFromString(serialised)
        self._writer.add_event(event)
