"""Which API serves which labs, as the labs declare it: for serving, images, manifests and deployments alike."""

from __future__ import annotations

from components.errors import UserError
from components.labs import LABS, find


def served_labs() -> dict[str, str]:
    """Lab -> the API that serves it, for every lab that has one. An API's own lab, of the same name, comes first."""
    served = {name: lab.api.name for name, lab in ((name, find(name)) for name in LABS) if lab.api}
    return dict(sorted(served.items(), key=lambda item: (item[1], item[0] != item[1], item[0])))


def apis() -> tuple[str, ...]:
    """Names of the APIs, sorted."""
    return tuple(dict.fromkeys(served_labs().values()))


def api_of(lab: str) -> str:
    """The API that serves a lab. Raises UserError where there is no such lab, or no API for it."""
    found = find(lab).api
    if found is None:
        raise UserError(f"the lab {lab} has no API; those that have: {', '.join(served_labs())}")
    return found.name


def labs_of(api: str) -> tuple[str, ...]:
    """The labs whose bundles an API serves; the first is the one whose champion it takes when none is named."""
    return tuple(lab for lab, its in served_labs().items() if its == api)


def extras_of(api: str) -> tuple[str, ...]:
    """What of pyproject.toml's extras an API needs installed."""
    declared = (find(lab).api for lab in labs_of(api))
    return ("serve", *dict.fromkeys(extra for its in declared if its for extra in its.extras))
