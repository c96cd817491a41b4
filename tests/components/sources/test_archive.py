"""Archives: the same files make the same bytes, and a hostile archive is refused."""

import gzip
import hashlib
import io
import string
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets.faces.raw import read_course_faces
from components.errors import UserError
from components.sources.archive import read_gzip, read_tar, write_tar

DATA = Path(__file__).resolve().parents[3] / "data"
NAMES = st.lists(
    st.text(string.ascii_letters + string.digits + "-_. ", min_size=1, max_size=20), min_size=1, max_size=3
)


def hostile(path: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def drain(archive: Path, **bounds: int) -> dict[str, bytes]:
    return dict(read_tar(archive, **bounds))


@given(st.dictionaries(NAMES.map("/".join).filter(lambda name: name.strip("./ ")), st.binary(max_size=2000)))
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    files = {name: content for name, content in files.items() if ".." not in name.split("/")}

    write_tar(path, sorted(files.items()))

    assert list(read_tar(path)) == sorted(files.items())


def test_the_same_files_always_make_the_same_bytes(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("a/1.txt", b"one"), ("b.txt", b"")])

    # Recorded: any change of this makes every declared tar impossible to reproduce.
    digest = hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    assert digest == "945b894283bb82db7a30691ebf7f7cb1642d333a6cedcaba6df45ffc13ce7753"


@pytest.mark.parametrize("name", ["course_faces/course_faces.tar", "music/nottingham_abc_cleaned.tar"])
def test_the_tars_of_the_course_are_made_again_byte_for_byte(tmp_path: Path, name: str) -> None:
    if not (DATA / name).exists():
        pytest.skip("needs `python -m components fetch`")

    write_tar(tmp_path / "again.tar", sorted(read_tar(DATA / name)))

    assert (tmp_path / "again.tar").read_bytes() == (DATA / name).read_bytes()


def test_members_out_of_order_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sorted"):
        write_tar(tmp_path / "a.tar", [("b", b""), ("a", b"")])


@pytest.mark.parametrize(
    "attack",
    [
        member("../evil"),
        member("a/../../evil"),
        member("/evil"),
        member("a\\..\\evil"),
        member("n" * 300),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "inside"),
        member("hard", tarfile.LNKTYPE, "good.txt"),
        member("device", tarfile.CHRTYPE),
        member("block", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("good.txt"),
    ],
    ids=lambda attack: f"{attack.name[:20]}-{attack.type.decode()}",
)
def test_a_hostile_member_is_refused_before_it_is_read(tmp_path: Path, attack: tarfile.TarInfo) -> None:
    archive = hostile(tmp_path / "hostile.tar", member("good.txt"), attack, member("later.txt"))
    before = sorted(tmp_path.rglob("*"))
    found: list[str] = []

    with pytest.raises(UserError, match="refused"):
        for name, _ in read_tar(archive):
            found.append(name)

    assert found == ["good.txt"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_lab_refuses_a_hostile_archive_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "course_faces").mkdir()
    hostile(tmp_path / "course_faces" / "course_faces.tar", member("../evil.png"))

    with pytest.raises(UserError, match=r"course_faces\.tar: member '\.\./evil\.png' is no name inside the folder"):
        list(read_course_faces(tmp_path))


def test_a_gzip_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "digits.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    assert read_gzip(path, max_bytes=1000) == bytes(1000)
    with pytest.raises(UserError, match="unpacks to more than 999 bytes"):
        read_gzip(path, max_bytes=999)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="not a whole gzip file"):
        read_gzip(path)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    archive = hostile(tmp_path / "many.tar", *(member(f"{number}") for number in range(11)))

    with pytest.raises(UserError, match="more than 10 members"):
        drain(archive, max_members=10)


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(
        gzip.compress(hostile(tmp_path / "bomb.tar", member("zeros"), content=bytes(1 << 22)).read_bytes())
    )

    with pytest.raises(UserError, match="unpacks to more than 1000 bytes"):
        drain(archive, max_bytes=1000)


def test_a_header_of_gigabytes_is_refused(tmp_path: Path) -> None:
    """A PAX header is read whole into memory, whatever size it claims."""
    header = member("pax", tarfile.XHDTYPE)
    header.size = 1 << 24
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(gzip.compress(header.tobuf() + bytes(1 << 24)))

    with pytest.raises(UserError, match="bound"):
        drain(archive, max_bytes=1000)


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize("keep", [1, 600, 5000])
def test_a_cut_off_archive_is_refused(tmp_path: Path, compress: type[bytes], keep: int) -> None:
    write_tar(tmp_path / "whole.tar", [("a", bytes(range(256)) * 40)])
    archive = tmp_path / "cut.tar"
    whole = compress((tmp_path / "whole.tar").read_bytes())
    archive.write_bytes(whole[: min(keep, len(whole) - 20)])

    with pytest.raises(UserError, match=r"cut\.tar"):
        drain(archive)


def test_a_missing_archive_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="components fetch"):
        list(read_tar(tmp_path / "none.tar"))
