"""Which API serves which labs."""

from __future__ import annotations

from components.errors import UserError
from components.labs import LABS, find

# Lab.api says it where labs declare their own.
_APIS = {
    "music": "music",
    "faces": "faces",
    "digits": "digits",
    "mlp": "digits",
    "digit_generation": "generation",
    "face_generation": "generation",
}


def api_of(lab_name: str) -> str | None:
    """The name of the API that serves a lab; None where none does. Raises UserError where there is no such lab."""
    return _APIS.get(find(lab_name).name)


def labs_of(api: str) -> tuple[str, ...]:
    """The labs whose bundles an API serves; the first is the one whose champion it takes when none is named."""
    labs = [lab for lab in LABS if api_of(lab) == api]
    return tuple(sorted(labs, key=lambda lab: lab != api))


def serving_api(lab_name: str) -> str:
    """The API that serves a lab. Raises UserError where none does, or there is no such lab."""
    api = api_of(lab_name)
    if api is None:
        served = ", ".join(lab for lab in LABS if api_of(lab))
        raise UserError(f"the lab {lab_name} has no API; those that have: {served}")
    return api


def headline(lab_name: str) -> tuple[str, ...]:
    """At most six of a lab's metrics, for the front page."""
    lab = find(lab_name)
    names: tuple[str, ...] = getattr(lab, "headline", None) or lab.gated
    return names[:6]
