"""Picks and particles of simulated movies against the particles that are there."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from relion4plugin.preprocessing.picking.agreement import Agreement, matches
from relion4plugin.simulation.known_truth import KnownTruth, movie_key


@dataclass(frozen=True)
class PickTruth:
    """What is true of picks.

    Attributes
    ----------
    agreement : Agreement
        Numbers of picks, of particles in the same micrographs, and of pairs of one each.
    is_true : bool (n,)
        Of each pick, in the order given.
    n_micrographs : int
        Micrographs that were compared.
    """

    agreement: Agreement
    is_true: np.ndarray
    n_micrographs: int


def pick_truth(truth: KnownTruth, picks: Iterable[tuple[str, np.ndarray]], pixel_size: float, distance: float) -> PickTruth:
    """Tell which picks are particles: each is paired with at most one of them.

    Parameters
    ----------
    truth : KnownTruth
        The truth.
    picks : iterable of (str, float (n, 2))
        Micrographs with positions in their px, x first; those without a truth are left out.
    pixel_size : float
        Of the micrographs, A.
    distance : float
        Largest distance of a pair, A.

    Returns
    -------
    PickTruth
    """
    total, hits, n = Agreement(0, 0, 0), [np.zeros(0, bool)], 0
    for name, centres in picks:
        places = truth.places.get(movie_key(name))
        if places is None:
            continue
        is_true = matches(centres * pixel_size, places * truth.pixel_size, distance) >= 0
        total += Agreement(len(centres), len(places), int(np.count_nonzero(is_true)))
        hits.append(is_true)
        n += 1
    return PickTruth(total, np.concatenate(hits), n)
