"""What trainings in processes of their own need, for `set_forkserver_preload`: loaded once, and not in each of them.

Once a process of tests has a server to fork from, it has it for all of its files, so this is for all of them.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import components.families
import components.labs
from components.lightning import load_lightning

load_lightning()
for package in (components.labs, components.families):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".training." in module.name or (module.name.endswith(".model") and ".runtime." not in module.name):
            import_module(module.name)
for name in (
    "components.training.trainer",
    "components.training.callbacks",
    "components.training.checkpoints",
    "components.training.sharding",
    "tests.components.labs.test_contract",
    "tests.components.steps.test_train",
):
    import_module(name)
