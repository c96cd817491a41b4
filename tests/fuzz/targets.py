"""What is fed with mutated inputs: each target makes input number `index` of a seed, and tells refusals from faults.

A target's folder holds what a fixture made for it. Everything is loaded late, since a worker needs one target only.
"""

from __future__ import annotations

import base64
import io
import json
import random
import re
import shutil
from abc import ABC, abstractmethod
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from components.datasets import DATASETS, find_dataset
from components.errors import UserError
from components.labs import LABS, find
from components.params import checked, checked_dataset, load, load_repro, load_server
from components.settings import project_root
from serving.core.problems import RefusalError
from tests.fuzz.mutations import mutated_bytes, mutated_tree

POD_BYTES = 512 * 2**20
"""Most memory that a process may take with any input: a pod's."""
LONGEST_REFUSAL = 1000
"""Characters: more is no clear line."""
INPUT = "input"
"""File of what a target that reads files is asked to read."""


class Target(ABC):
    """folder: what a fixture made for it, which it may write into."""

    seconds = 30
    """Processor time for one input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Good inputs, which are mutated."""

    @abstractmethod
    def use(self, content: bytes) -> None:
        """Does what the product does with such an input. Raises UserError or RefusalError where it is refused."""

    def input(self, seed: int, index: int) -> bytes:
        """The same for the same seed, index and seeds."""
        draw = random.Random(f"{type(self).__name__}:{seed}:{index}")  # noqa: S311 - chooses inputs
        return self.mutated(draw, draw.choice(self.seeds))

    def mutated(self, draw: random.Random, content: bytes) -> bytes:
        return mutated_bytes(draw, content, draw.choice(self.seeds))

    def check(self, content: bytes) -> bool:
        """Whether the input is answered; False where it is refused. Raises anything else for a fault."""
        try:
            self.use(content)
        except RefusalError as refusal:
            assert 400 <= refusal.status < 500, f"refused with {refusal.status}: {refusal.detail}"
            _check_line(refusal.detail)
            return False
        except UserError as error:
            _check_line(str(error))
            return False
        return True


def peak_bytes(process: int | str) -> int:
    """Most memory that a process had at a time, since that was last forgotten."""
    return 1024 * int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0])


def _check_line(text: str) -> None:
    assert text.strip(), "a refusal that says nothing"
    assert len(text.splitlines()) == 1, f"a refusal of several lines: {text[:200]!r}"
    assert len(text) <= LONGEST_REFUSAL, f"a refusal of {len(text):,} characters: {text[:200]!r}"


@cache
def limits_of(lab: str) -> Any:
    """The project's limits of a lab's API."""
    return load(find(lab), project_root() / "params.yaml").serve


class Pictures(Target):
    """Real photographs and digits in every format that is read, as the digits and faces APIs decode them."""

    @cached_property
    def seeds(self) -> list[bytes]:
        from components.sources.archive import read_tar
        from tests.serving.hostile import GREY, THE_SAME

        photographs = read_tar(project_root() / "data/faces/caltech101/caltech101_nonfaces.tar")
        images = [
            Image.open(io.BytesIO(content)).convert("RGB").resize((96, 64)) for _, content in islice(photographs, 2)
        ]
        return [make(image) for image in images for make in (THE_SAME | GREY).values()]

    def use(self, content: bytes) -> None:
        from serving.core.pictures import decode, middle_square, open_picture
        from serving.digits.preprocess import LARGEST, framed

        limits = limits_of("digits")
        picture = open_picture(content, limits)
        assert picture.width * picture.height == picture.pixels
        middle_square(decode(picture, (64, 64)), 64)
        framed(decode(open_picture(content, limits), (LARGEST, LARGEST)), limits.paper, limits.max_digits)


class Tunes(Target):
    """Real tunes: played, checked, and gone on from."""

    @cached_property
    def seeds(self) -> list[bytes]:
        from tests.music_data import real_tunes

        return [tune.encode() for tune in real_tunes()[::8]]

    def use(self, content: bytes) -> None:
        from pydantic import ValidationError

        from components.datasets.music.abc_notation import check
        from components.labs.music.runtime.conditioning import Conditions, Options
        from components.labs.music.runtime.prompt import conditioned, start_fault
        from components.labs.music.runtime.request import TuneRequest
        from serving.core.problems import invalid
        from serving.music import audio, schemas

        text = content.decode(errors="replace")
        check(text)
        options = Options({"6/8": {"jig": 3}, "C": {"reel": 5}})
        limits = limits_of("music")
        requests: Any = schemas.requests(limits, options)
        try:
            for start in (text[:1000], text.partition("K:")[2].partition("\n")[2][:300]):
                asked = requests["StreamRequest"](start=start)
                conditions = Conditions(start=asked.start)
                start_fault(conditions, options)
                conditioned(TuneRequest(seed=0), conditions, options)
        except ValidationError as error:
            invalid(error)
        audio.to_midi(text, max_seconds=limits.max_seconds, max_chord=limits.max_chord)
        audio.to_wav(text, max_seconds=limits.max_seconds, max_chord=limits.max_chord, sample_rate=4000)


class MidiFiles(Target):
    """Real tunes as MIDI files, and files as instruments record them."""

    @cached_property
    def seeds(self) -> list[bytes]:
        from serving.music.audio import to_midi
        from tests.midi_files import played
        from tests.music_data import real_tunes

        made = []
        for tune in real_tunes()[::40]:
            try:
                made.append(to_midi(tune, max_seconds=300, max_chord=4))
            except UserError:
                continue  # two of the real ones are fragments
        return [*made, *(played(content, seed=0, spread_ms=15) for content in made[:5])]

    def use(self, content: bytes) -> None:
        from serving.music.midi_import import transcribe

        found = transcribe(content, "", "", ("6/8", "9/8", "3/4", "2/4", "C", "4/4"), 300)
        assert found.notes
        assert found.tune


YAML = (
    *(b"&a [*a] #", b"2020-02-30 #", b"2020-02-30: ", b"2020-02-03: ", b"!!binary aGk= #", b"!!set {a, b} #"),
    *(b"? [a, b]\n: ", b"{a: 1}: ", b"<<: 3\n", b"~: ", b"1e999 #", b"1:99 #", b"0x" + 5000 * b"f" + b" #", b"- "),
    *(500 * b"[" + 500 * b"]" + b" #", 5000 * b"9" + b" #", b"!!python/object:os.system {} #", b"'\t", b'"\\ud800" #'),
)
"""What YAML has and JSON has not."""


class Params(Target):
    """The project's params.yaml with the block of one lab."""

    @cached_property
    def seeds(self) -> list[bytes]:
        from components.params import BLOCKS

        whole = yaml.safe_load((project_root() / "params.yaml").read_text())
        shared = {name: whole[name] for name in BLOCKS if name not in LABS}
        return [yaml.safe_dump({lab: whole[lab], **shared}, sort_keys=False).encode() for lab in LABS]

    def mutated(self, draw: random.Random, content: bytes) -> bytes:
        chance = draw.random()
        if chance < 0.3:
            return super().mutated(draw, content)
        if chance < 0.5:  # a value, or a key before the rest of its line
            at = draw.choice([match.end() for match in re.finditer(rb": |\n *", content)])
            return content[:at] + draw.choice(YAML) + content[at:]
        tree = mutated_tree(draw, yaml.safe_load(content))
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=draw.random() < 0.5).encode(errors="replace")

    def use(self, content: bytes) -> None:
        from components.config import checked_section, read
        from components.search.ranges import search_of
        from pipelines.config import Pipelines

        path = self.folder / "params.yaml"
        path.write_bytes(content)
        raw = read(path)
        for name in [name for name in LABS if name in raw] or LABS[:1]:
            if checked(find(name), raw, path).search:
                search_of(find(name), raw, path)
        for name in DATASETS:
            checked_dataset(find_dataset(name), raw, path)
        checked_section(Pipelines, raw.get("pipelines"), path, "pipelines")
        load_server(path)
        load_repro(path)


class Bundles(Target):
    """A promoted music bundle in which files were changed: by damage, or by somebody who made its hashes fit again."""

    @cached_property
    def seeds(self) -> list[bytes]:
        return [path.name.encode() for path in sorted((self.folder / "bundle").iterdir())]

    def mutated(self, draw: random.Random, content: bytes) -> bytes:
        from components.bundle import MANIFEST
        from tests.fuzz.resealed import resealed

        folder = self.folder / "bundle"
        name = content.decode()
        made = mutated_bytes(draw, (folder / name).read_bytes(), (folder / MANIFEST).read_bytes())
        if name.endswith(".json") and draw.random() < 0.7:
            made = json.dumps(mutated_tree(draw, json.loads((folder / name).read_text()))).encode()
        files = {name: made}
        if draw.random() < 0.7:
            files |= resealed(json.loads((folder / MANIFEST).read_text()), name, made)
        return json.dumps({file: base64.b64encode(each).decode() for file, each in files.items()}).encode()

    def use(self, content: bytes) -> None:
        from components.promoted import read_served
        from serving.core.service import backend_of, definition

        changed = self.folder / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(self.folder / "bundle", changed)
        for name, coded in json.loads(content).items():
            (changed / name).write_bytes(base64.b64decode(coded))
        served = read_served(changed)
        original = {path.name: path.read_bytes() for path in (self.folder / "bundle").iterdir()}
        assert served.unpromoted or {path.name: path.read_bytes() for path in changed.iterdir()} == original
        backend_of(definition("music"), served)
