"""RecBole's NeuMF for one epoch after a warm-up one: the last line it prints is samples a second.

    PYTHON benchmarks/recbole_neumf.py pairs.csv

Run by `benchmarks/training.py --recbole PYTHON`, where PYTHON is that of an environment of its own that has
`pip install recbole==1.2.1 "torch<2.6" "numpy<2" "pandas<2.2" "scipy<1.14" "ray<2.40"`: RecBole and this package cannot
share one. `pairs.csv` has a line `user,item` for each positive.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

NEGATIVES, BATCH = 4, 8192


def main(pairs: str) -> float:
    """Samples a second, a sample being one user-item pair, positive or negative; `pairs` is the CSV's text."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.general_recommender import NeuMF
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole leaves logs in the working directory
        atomic = Path(folder) / "pairs" / "pairs.inter"
        atomic.parent.mkdir()
        atomic.write_text("user_id:token\titem_id:token\n" + pairs.replace(",", "\t"))
        settings = {
            "data_path": folder,
            "checkpoint_dir": folder,
            "load_col": {"inter": ["user_id", "item_id"]},
            "mf_embedding_size": 64,
            "mlp_embedding_size": 64,
            "mlp_hidden_size": [128, 64],
            "dropout_prob": 0.0,
            "train_batch_size": BATCH,
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": NEGATIVES},
            "eval_args": {"split": {"RS": [0.998, 0.001, 0.001]}, "order": "RO", "group_by": "none", "mode": "full"},
            "use_gpu": False,
            "show_progress": False,
            "state": "ERROR",
            "seed": 42,
        }
        config = Config(model="NeuMF", dataset="pairs", config_dict=settings)
        init_seed(config["seed"], reproducibility=True)
        train, _, _ = data_preparation(config, create_dataset(config))
        model = NeuMF(config, train.dataset)
        trainer = Trainer(config, model)
        trainer._train_epoch(train, 0)
        started = time.perf_counter()
        trainer._train_epoch(train, 1)
        return len(train.dataset) * (1 + NEGATIVES) / (time.perf_counter() - started)


if __name__ == "__main__":
    print(main(Path(sys.argv[1]).read_text()))
