"""What a run would do, without doing it."""

import time

import numpy as np
from rich.console import Console

from search.checks import Checked
from search.cluster import ResourcePlan
from search.space import dump_space

STEPS = 3


def print_plan(checked: Checked, plan: ResourcePlan, console: Console) -> None:
    """Print the resolved space, the folds, the resources and an estimate of the time; train nothing."""
    console.print("space", style="bold")
    console.print(dump_space(checked.space))
    console.print("[bold]folds[/bold] (trained on: left out, off-family in capitals)", markup=True)
    for fold in checked.protocol.folds:
        left_out = (g.upper() if g in fold.off_family else g for g in fold.left_out)
        console.print(f"  {fold.name}: {', '.join(fold.train)}: {', '.join(left_out) or 'nothing'}")
    console.print(f"  sealed: {', '.join(checked.protocol.sealed) or 'none'}")
    shape = plan.shape
    console.print("resources", style="bold")
    console.print(
        f"  {plan.concurrent} trials at a time, {shape.workers} workers each, "
        f"{shape.cpus:g} CPUs and {shape.gpus:g} GPUs per worker"
    )
    _print_estimate(checked, plan, console)


def _print_estimate(checked: Checked, plan: ResourcePlan, console: Console) -> None:
    train_s, eval_s = measure_image_seconds(checked, int(plan.shape.cpus + 0.5))
    full = full_length_seconds(checked, plan, train_s, eval_s)
    trials = checked.space.search.trials
    stopped = full * _shortest_share(checked) * trials
    console.print("[bold]time[/bold] (measured on this machine, random images)", markup=True)
    console.print(
        f"  {train_s * 1e3:.1f} ms per training image, {eval_s * 1e3:.1f} ms per evaluated image; "
        f"{full:.0f} s per full trial"
    )
    if checked.space.finalists.top and "finalists" in checked.steps:
        section = checked.space.finalists
        count = (section.top + 1) * section.seeds
        anew = f"{section.top} finalists and the baseline with {section.seeds} seeds each, {count} trainings"
        console.print(f"  {anew}: {full * count / plan.concurrent / 60:.1f} min")
    console.print(
        f"  {trials} trials: {stopped / plan.concurrent / 60:.1f} min if early stopping cuts all it can, "
        f"{full * trials / plan.concurrent / 60:.1f} min if nothing is stopped; start-up comes on top"
    )


def full_length_seconds(checked: Checked, plan: ResourcePlan, train_s: float, eval_s: float) -> float:
    """Estimate a trial at full length from the seconds per image; the fullest worker decides."""
    space, folds = checked.space, checked.protocol.folds
    evaluated = 2 * space.data.val_per_class * len(checked.protocol.search)
    costs = [2 * space.data.train_per_class * len(f.train) * train_s + evaluated * eval_s for f in folds]
    slowest = max(sum(costs[rank :: plan.shape.workers]) for rank in range(plan.shape.workers))
    return slowest * space.training.epochs


def _shortest_share(checked: Checked) -> float:
    search, epochs = checked.space.search, checked.space.training.epochs
    if search.scheduler == "none":
        return 1.0
    kept = 1 / search.reduction_factor
    return kept + (1 - kept) * min(search.grace_period, epochs) / epochs


def measure_image_seconds(checked: Checked, threads: int) -> tuple[float, float]:
    """Time forward, backward and evaluation on random images; the weights are thrown away.

    Returns:
        Seconds per training image and per evaluated image.
    """
    import torch
    from torch.nn import functional

    from genimage_core.data.batches import ImageSet
    from genimage_core.detectors.detector import build_detector
    from genimage_core.evaluation import predict
    from genimage_core.training import to_batch

    torch.set_num_threads(max(1, threads))
    size, batch = checked.space.data.image_size, checked.space.training.batch_size
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    data = ImageSet((images,), np.zeros(batch, dtype=np.uint8), "random")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    detector = build_detector(checked.space.detector.name, image_size=size).to(device)

    def train() -> None:
        logits = detector.train()(to_batch(images, device))
        functional.softplus(logits).mean().backward()  # type: ignore[no-untyped-call]

    def seconds(work: object) -> float:
        assert callable(work)
        work()
        started = time.perf_counter()
        for _ in range(STEPS):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / STEPS / batch

    return seconds(train), seconds(lambda: predict(detector, data, batch))
