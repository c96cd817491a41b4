"""Two machines that move one alias at the same moment share the registry and no folder: one of them is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.errors import UserError
from components.steps.promote import roll_back
from tests.components.steps.test_promote import LAB, champion_now, in_child, make_candidate, run_promote

PROMOTED, REFUSED = 0, 7


class Meeting:
    """Lets one process wait inside a call until another has done its part."""

    def __init__(self) -> None:
        self._arrived, self._left = os.pipe(), os.pipe()

    def arrive(self) -> None:
        os.write(self._arrived[1], b".")
        os.read(self._left[0], 1)

    def wait_for_the_other(self) -> None:
        os.read(self._arrived[0], 1)

    def let_the_other_go(self) -> None:
        os.write(self._left[1], b".")


def paused_before(call: str, meeting: Meeting) -> None:
    """In this process the client's next such call waits for the other process. Of a child, so nothing is put back."""
    original = getattr(MlflowClient, call)

    def wait_once(*arguments: object, **options: object) -> object:
        setattr(MlflowClient, call, original)
        meeting.arrive()
        return original(*arguments, **options)

    setattr(MlflowClient, call, wait_once)


def machine(folder: Path, work: Callable[[], object]) -> int:
    """A process with a folder of its own; returns its pid."""

    def alone() -> None:
        folder.mkdir()
        os.chdir(folder)
        try:
            work()
        except UserError as error:
            assert "registered first" in str(error) or "the gate saw none" in str(error)
            os._exit(REFUSED)

    return in_child(alone)


def code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("moment", "slow", "quick"),
    [
        ("create_model_version", REFUSED, PROMOTED),  # the other is promoted between its check and its version
        ("set_registered_model_alias", PROMOTED, REFUSED),  # or between its version and its move of the alias
    ],
)
def test_of_two_machines_that_promote_at_once_one_is_champion_and_the_other_is_told(
    workplace: Path, moment: str, slow: int, quick: int
) -> None:
    meeting = Meeting()

    def first() -> None:
        make_candidate(weight=2.0)
        paused_before(moment, meeting)
        run_promote()

    def second() -> None:
        make_candidate(weight=3.0)
        meeting.wait_for_the_other()
        try:
            run_promote()
        finally:
            meeting.let_the_other_go()

    a, b = machine(workplace / "a", first), machine(workplace / "b", second)
    assert (code(a), code(b)) == (slow, quick)
    os.chdir(workplace / ("a" if slow == PROMOTED else "b"))
    assert run_promote().version == champion_now().version, "it is the champion already"


def test_a_rollback_that_meets_a_promotion_undoes_nothing_in_silence(workplace: Path) -> None:
    """The promotion had its version first, so the rollback is refused; without this it would be lost a moment later."""
    meeting = Meeting()

    def two_versions() -> None:
        for weight in (2.0, 3.0):
            make_candidate(weight)
            run_promote()

    assert code(machine(workplace / "before", two_versions)) == PROMOTED

    def promoting() -> None:
        make_candidate(weight=4.0)
        paused_before("set_registered_model_alias", meeting)
        run_promote()

    def going_back() -> None:
        meeting.wait_for_the_other()
        try:
            roll_back(LAB, "1", Path("journals"))
        finally:
            meeting.let_the_other_go()

    a, b = machine(workplace / "a", promoting), machine(workplace / "b", going_back)
    assert (code(a), code(b)) == (PROMOTED, REFUSED)
    assert champion_now().version == "3"


def test_a_promotion_that_was_killed_before_its_move_is_finished_by_name(workplace: Path) -> None:
    """Another candidate is told so: it may not overtake one that may still be running on another machine."""

    def killed() -> None:
        make_candidate(weight=2.0)
        MlflowClient.set_registered_model_alias = lambda *_: os._exit(9)  # type: ignore[method-assign]
        run_promote()

    assert code(machine(workplace / "a", killed)) == 9
    make_candidate(weight=3.0)
    with pytest.raises(UserError, match=r"version 1 of music was registered first.*rollback music 1` finishes it"):
        run_promote()
    assert roll_back(LAB, "1") == "1"
    make_candidate(weight=3.0)
    assert run_promote().promoted
    assert champion_now().version == "3"
