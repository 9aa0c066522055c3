"""Small training sets in which a brighter disc is a better class."""

import numpy as np

from relion4plugin.ranker.samples import Samples


def toy_samples(n: int = 48, n_jobs: int = 6, seed: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    score = random.random(n).astype(np.float32)
    y, x = np.mgrid[-32:32, -32:32]
    images = (3 * score[:, None, None] * np.exp(-(x * x + y * y) / 100.0)).astype(np.float32)
    images += 0.1 * random.standard_normal(images.shape).astype(np.float32)
    features = random.standard_normal((n, 24)).astype(np.float32)
    features[:, 12] = 4 * score - 2
    job = np.array([f"job{i % n_jobs:03d}" for i in range(n)])
    return Samples(
        images=images,
        features=features,
        score=score,
        job=job,
        reference=np.array([f"{i + 1:06d}@{job[i]}/run_classes.mrcs" for i in range(n)]),
        structure=np.array([f"protein{i % n_jobs // 2}" for i in range(n)]),
        extra={"particles": random.uniform(20, 2000, n), "category": np.where(score > 0.5, 1, 0)},
    )
