"""What a trial reports after an epoch, with known numbers."""

METRICS = (
    "off_family_accuracy",
    "left_out_accuracy",
    "worst_left_out",
    "in_domain_accuracy",
    "average_precision",
    "auroc",
)


def result(epoch):
    cell = {"accuracy": 0.6, "real_accuracy": 0.5, "fake_accuracy": 0.7, "auroc": 0.8}
    return {
        **{name: (index + epoch) / 10 for index, name in enumerate(METRICS)},
        "epoch": epoch,
        "train_loss": 0.5 / epoch,
        "losses": {"adm": 0.25 / epoch},
        "train_s": 3.0,
        "eval_s": 2.0,
        "wait_s": 1.0,
        "matrix": {"adm": {"adm": cell, "sd14": {**cell, "accuracy": 0.4 + epoch / 10}}},
    }
