"""A campaign's terms, written short."""

from __future__ import annotations

from harness.campaign.common import CampaignTerms
from harness.search.stopping import Allowance


def terms(cuts: int | None = None, **more) -> CampaignTerms:
    """At most so many cuts, unless an `allowance` says more."""
    return CampaignTerms(**{"allowance": Allowance(cuts), **more})
