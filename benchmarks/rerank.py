"""Time re-ranking of each user's best 500 to a list of 100, step by step, beside the scoring alone.

    .venv/bin/python benchmarks/rerank.py [--users 6040] [--items 3706] [--pool 500] [--n 100] [--repeats 3]

One process with one thread, as one Spark task works: NeuMF of the default sizes with weights by chance scores all items in
blocks of 256 users and keeps the best n; then the pool is kept and re-ranked, by each step alone and by all of them. In each
repeat all take their turn. Prints Markdown: seconds, and the share that a step adds to the scoring.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from bench import header, seconds_of, spread

from recsys_spark.config import load_config
from recsys_spark.models.scoring import BlockScorer
from recsys_spark.recommend.rerank import ItemFacts, RerankPolicy, Scored, policy_of, rerank

BLOCK_USERS, WIDTH, LAYERS, CATEGORIES = 256, 64, (128, 64), 18
STEPS = {
    "freshness": {"freshness.weight": 0.2},
    "MMR by vectors": {"diversity.kind": "mmr"},
    "DPP by vectors": {"diversity.kind": "dpp"},
    "MMR by category": {"diversity.kind": "mmr", "diversity.by": "category"},
    "DPP by category": {"diversity.kind": "dpp", "diversity.by": "category"},
    "category cap": {"category_cap": 10},
    "exposure": {"exposure.group": "popularity", "exposure.least": "{tail: 0.3}"},
    "exploration": {"exploration.epsilon": 0.1, "exploration.places": 10},
}
ALL = ("freshness", "MMR by vectors", "category cap", "exposure", "exploration")


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=6040)
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--pool", type=int, default=500)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    scorer, facts = BlockScorer(weights(rng, options.users, options.items)), facts_of(rng, options.items)
    policies = {name: policy(options.pool, name) for name in STEPS} | {
        "all, with MMR by vectors": policy(options.pool, *ALL)
    }
    blocks = [np.arange(at, min(at + BLOCK_USERS, options.users)) for at in range(0, options.users, BLOCK_USERS)]
    scored = [Scored(own.astype(np.int32), *scorer.top_n(own, options.pool)) for own in blocks]
    works: dict[str, Any] = {
        f"scoring, the best {options.n} kept": lambda: [scorer.top_n(own, options.n) for own in blocks],
        f"scoring, the best {options.pool} kept": lambda: [scorer.top_n(own, options.pool) for own in blocks],
    }
    for name, chosen in policies.items():
        works[name] = lambda chosen=chosen: [rerank(block, facts, chosen, options.n) for block in scored]
    print(
        header(0, f"{options.users:,} users, the best {options.pool} of {options.items:,} items to {options.n}"),
        flush=True,
    )
    taken = [{name: seconds_of(work) for name, work in works.items()} for _ in range(options.repeats)]
    alone = next(iter(works))
    print("\n| | seconds, median (least to greatest) | of the scoring |\n| --- | --- | --- |")
    for name in works:
        shares = [seconds[name] / seconds[alone] for seconds in taken]
        print(f"| {name} | {spread([seconds[name] for seconds in taken], '.2f')} | {spread(shares, '.1%')} |")


def policy(pool: int, *steps: str) -> RerankPolicy:
    chosen = {key: value for step in steps for key, value in STEPS[step].items()}
    settings = [f"recommend.rerank.{key}={value}" for key, value in {"pool": pool, **chosen}.items()]
    return policy_of(load_config(settings=settings).recommend.rerank, ("head", "tail"), 42, 0)


def facts_of(rng: np.random.Generator, items: int) -> ItemFacts:
    vectors = rng.standard_normal((items, WIDTH), dtype=np.float32)
    return ItemFacts(
        age_days=rng.exponential(300.0, items).astype(np.float32),
        category=rng.integers(-1, CATEGORIES, items).astype(np.int32),
        group=(rng.random(items) < 0.8).astype(np.int32),
        group_names=("head", "tail"),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


def weights(rng: np.random.Generator, users: int, items: int) -> dict[str, Any]:
    """Weights of a NeuMF by name, as an artifact holds them."""
    first, second = LAYERS
    shapes = {
        "user_gmf": (users, WIDTH), "item_gmf": (items, WIDTH), "user_mlp": (users, WIDTH), "item_mlp": (items, WIDTH),
        "user_kernel": (WIDTH, first), "item_kernel": (WIDTH, first), "first_bias": (first,),
        "hidden_kernel_2": (first, second), "hidden_bias_2": (second,),
        "output_gmf": (WIDTH,), "output_mlp": (second, 1), "output_bias": (),
    }  # fmt: skip
    return {name: np.asarray(0.1 * rng.standard_normal(shape), np.float32) for name, shape in shapes.items()}


if __name__ == "__main__":
    main()
