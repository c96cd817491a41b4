"""Which API serves a lab, and what images, manifests and the deploy command call it.

Everything below infra/ that needs the list of APIs takes it from here. Several labs may share one API; each lab that is
served has a Deployment of its own, because a pod serves one model.
"""

from __future__ import annotations

import difflib

from components.errors import UserError
from components.labs import find

SERVED_LABS: dict[str, str] = {
    "music": "music",
    "faces": "faces",
    "digits": "digits",
    "mlp": "digits",
    "digit_generation": "generation",
    "face_generation": "generation",
}
"""Lab -> the API that serves it."""
APIS = tuple(dict.fromkeys(SERVED_LABS.values()))


def api_of(lab: str) -> str:
    """The API that serves a lab. Raises UserError where there is no such lab, or no API for it."""
    if lab not in SERVED_LABS:
        find(lab)
        near = difflib.get_close_matches(lab, SERVED_LABS, n=1, cutoff=0.0)
        raise UserError(f"the lab {lab} has no API; did you mean '{near[0]}'? served: {', '.join(SERVED_LABS)}")
    return SERVED_LABS[lab]


def resource_name(lab: str) -> str:
    """A lab's name as Kubernetes allows it in the names of objects."""
    return lab.replace("_", "-")


def deployment_name(lab: str) -> str:
    return f"{resource_name(lab)}-api"
