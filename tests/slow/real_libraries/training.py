"""What a library trains on here, and Lightning's trainer for the libraries that train under it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

PIXELS = 64
VIEWS = [[torch.rand(3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(view)) for view in (1, 2)]] * 2
"""Two views of each of two images: one batch of each training."""


def fitted(lightning: Any, model: Any, batches: Any, folder: Path, callbacks: Any = ()) -> Any:
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, lightning.callbacks.ModelCheckpoint) for callback in callbacks),
        default_root_dir=folder, callbacks=list(callbacks), num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, DataLoader(batches, batch_size=2))
    return trainer
