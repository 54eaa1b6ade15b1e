"""What the lines of a run's files hold, as far as summary and pages use them. docs/reports.md explains the fields.

A field may be missing: an older version, or an interrupted run, did not write it.
"""

from __future__ import annotations

from harness.base.shape import Shape

_TEXT: Shape = (str, None)
_COUNT: Shape = (int, None)
_NUMBER: Shape = (float, None)
_FLAG: Shape = (bool, None)
_RIG_TEXTS = ("key", "title", "firmware", "personality", "transport", "flash")

HEAD: Shape = {
    "asked?": (
        {
            **{f"{name}?": _TEXT for name in ("require", "search", "bench_digest")},
            **{f"{name}?": _COUNT for name in ("cuts", "budget_us")},
            **{f"{name}?": ([str], None) for name in ("suites", "rigs", "operations")},
            "quick?": _FLAG,
        },
        None,
    ),
    "run?": _TEXT,
    "version?": _TEXT,
    "seed?": _COUNT,
    "bench?": _TEXT,
    "started?": _TEXT,
    "evidence_kind?": (str, [str], None),
    "rigs?": (
        [
            {
                "name": str,
                **{f"{name}?": _TEXT for name in _RIG_TEXTS},
                "expendable?": _FLAG,
            }
        ],
        None,
    ),
    "deviations?": (list, None),
    "notes?": ([str], None),
    "remarks?": ({"*": [str]}, None),
    "untried_starts?": ({"*": [str]}, None),
    "untried_suites?": ({"*": [str]}, None),
    "host?": ({"*": (str, int, None)}, None),
    "commit?": _TEXT,
}

_FINDING: Shape = {
    **{
        f"{name}?": _TEXT
        for name in ("severity", "blame", "item", "law", "first", "text", "where", "outcome")
    },
    **{f"{name}?": _COUNT for name in ("count", "covering_count", "of")},
    "narrowest?": ({"text?": _TEXT}, None),
    "again?": (
        {
            "reproduced": [int, int],
            "read": [str],
            "cycle": [str],
            "interval?": ([float, float], None),
            "metastable?": _FLAG,
            "history?": ([str], None),
        },
        None,
    ),
}

OPERATION: Shape = {
    "rig": str,
    "operation": str,
    "title?": _TEXT,
    **{
        f"{name}?": _COUNT
        for name in ("cuts", "covering_cuts", "instants", "distinct_states", "violations", "live_checked")
    },
    **{f"{name}?": _NUMBER for name in ("window_ms", "duration_s", "observe_s")},
    "exhaustive?": _FLAG,
    "complete?": _FLAG,
    "outcomes?": ({"*": int}, None),
    "missed?": ({"*": [int, int]}, None),
    "bound?": ({"confidence": float, "below": float}, None),
    "goal?": ({"confidence": float, "below": float}, None),
    "findings?": ([_FINDING], None),
    "plugs?": ({"*": int}, None),
    "unresolved?": _COUNT,
    "switch?": (
        {"name": str, "calibrated": bool, "cuts": int, "strayed": int, "first": _TEXT},
        None,
    ),
    "timing?": ({"boot_ms?": _NUMBER}, None),
    "spent?": ({"*": int}, None),
    "wear?": ([{"what": str, "used": int, "limit?": _COUNT, "estimated?": _FLAG}], None),
}

CASE: Shape = {
    "nodeid": str,
    "outcome": str,
    "duration_s?": _NUMBER,
    **{
        f"{name}?": _TEXT
        for name in ("suite", "rig", "reason", "clause", "blame", "operation", "campaign", "policy")
    },
}

EVIDENCE: Shape = {
    "rig": str,
    "operation": str,
    "outcome": str,
    **{f"{name}?": _TEXT for name in ("id", "blame", "stream", "world", "death", "firmware")},
    **{f"{name}?": _FLAG for name in ("landed", "acknowledged")},
    **{f"{name}?": _COUNT for name in ("fired_us", "lost_us", "boots")},
    "planned?": (dict, None),
}

FINISH: Shape = {"complete?": _FLAG, "interrupted?": (bool, str, None), "duration_s?": _NUMBER}

FACTS: Shape = {
    "identity?": _TEXT,
    "files?": [{"name": str, "sha256?": _TEXT, "about?": [[str, str]]}],
    "calibration?": ({"*": (float, str, None)}, None),
}
"""What `harness.run.rig_facts` writes of each rig."""
