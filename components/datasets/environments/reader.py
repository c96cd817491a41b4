"""A prepared environment: its description, checked against what is installed, and the games made from it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import UserError
from components.files import read_json
from components.settings import draw_without_display
from components.sources.installed import check_installed

if TYPE_CHECKING:
    import gymnasium

FILE = "environment.json"
SPLITS = ("train", "validation", "test")


class Environment(BaseModel):
    """environment.json: all that decides what an agent meets. A bundle's spec carries it, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The dataset's."""
    id: str
    packages: dict[str, str]
    """Exact versions, by package."""
    options: dict[str, Any]
    wrappers: tuple[tuple[str, dict[str, Any]], ...]
    actions: tuple[int, ...]
    """The environment's own numbers of the actions an agent may take; empty where it takes all, or real numbers."""
    solved_return: float
    seeds: dict[str, tuple[int, int]]
    """First and last seed of each split."""
    max_steps: int | None
    """Steps after which an episode is cut off."""
    observation_shape: tuple[int, ...]
    observation_dtype: str
    action_count: int
    """Actions to choose from; 0 where an action is real numbers."""

    @classmethod
    def read(cls, prepared: Path) -> Environment:
        """Reads a prepared dataset. Raises UserError where it is missing, damaged, or not what is installed here."""
        try:
            found = cls.model_validate(read_json(prepared / FILE))
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"{prepared / FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}; run the step prepare again"
            ) from None
        check_installed(found.name, found.packages)
        return found

    def varied(self, options: Mapping[str, Any]) -> Environment:
        """The same environment with other options of gymnasium.make, such as `repeat_action_probability`."""
        return self.model_copy(update={"options": {**self.options, **options}})

    def make(self, render: bool = False, **options: Any) -> gymnasium.Env[Any, Any]:
        """The game as gymnasium itself makes it, with the wrappers. render: `render()` returns pictures.

        options: take the place of those in the description, such as `repeat_action_probability`.
        """
        import gymnasium

        draw_without_display()
        register(self.packages)
        kwargs = {**self.options, **options, **({"render_mode": "rgb_array"} if render else {})}
        made: gymnasium.Env[Any, Any] = gymnasium.make(self.id, **kwargs)
        for name, arguments in self.wrappers:
            made = getattr(gymnasium.wrappers, name)(made, **{key: _plain(value) for key, value in arguments.items()})
        return _with_actions(made, self.actions)

    def seed(self, split: str, index: int) -> int:
        """The seed of episode `index` of a split. Raises UserError where the split has no so many."""
        first, last = self.seeds[split]
        if not 0 <= index <= last - first:
            raise UserError(f"{self.name} has {last - first + 1} seeds for {split}, and episode {index} needs one more")
        return first + index


def register(packages: Mapping[str, str]) -> None:
    """Makes gymnasium know the games of other packages."""
    if "ale-py" in packages:
        import ale_py
        import gymnasium

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # it greets in three lines
        gymnasium.register_envs(ale_py)


def _plain(value: Any) -> Any:
    """JSON has no tuples, and gymnasium takes no lists for them."""
    return tuple(value) if isinstance(value, list) else value


def _with_actions(made: gymnasium.Env[Any, Any], actions: tuple[int, ...]) -> gymnasium.Env[Any, Any]:
    """The game with some of its actions, numbered from 0."""
    if not actions:
        return made
    import gymnasium

    space = gymnasium.spaces.Discrete(len(actions))
    return gymnasium.wrappers.TransformAction(made, lambda action: actions[int(action)], space)
