"""Files and folders that appear whole or not at all."""

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from upath import UPath

from pipeline.errors import PipelineError
from pipeline.files import (
    FULL,
    _own,
    cache_folder,
    is_remote,
    new_directory,
    new_file,
    sha256_of,
    sole_writer,
    temporary_files_together,
    write_csv,
    write_json,
)


def test_a_file_replaces_the_old_one_when_the_block_ends_well(tmp_path):
    path = tmp_path / "made/on/the/way.txt"
    for text in ("old", "new"):
        with new_file(path) as partial:
            partial.write_text(text)
            assert partial.parent == path.parent  # so that the rename stays on one disk
        assert path.read_text() == text
    with pytest.raises(ZeroDivisionError), new_file(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in path.parent.iterdir()] == ["way.txt"] and path.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "out") as partial:
        (partial / "new").touch()
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["old"]
    with new_directory(tmp_path / "out") as partial:
        (partial / "new").touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_only_what_cannot_be_opened_by_name_is_remote(tmp_path):
    assert not is_remote(tmp_path) and not is_remote(UPath(tmp_path))
    assert is_remote(UPath("memory://shards"))
    with new_file(UPath("memory://files/a.txt")) as partial:
        partial.write_text("there")
    assert UPath("memory://files/a.txt").read_text() == "there"


def test_tables_and_json_have_one_form(tmp_path):
    write_csv(tmp_path / "a.csv", [{"name": "x", "value": 1 / 3}, {"name": "y", "value": None}])
    assert (tmp_path / "a.csv").read_bytes() == b"name,value\nx,0.333333\ny,\n"
    write_csv(tmp_path / "b.csv", [], ["name"])
    assert (tmp_path / "b.csv").read_bytes() == b"name\n"
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1, "a": [0.5]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert len(sha256_of(tmp_path / "a.json")) == 64


def test_the_cache_is_the_users_and_a_cache_that_cannot_be_made_is_a_sentence(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert cache_folder("indexes") == tmp_path / "mine/face-attributes/indexes"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PipelineError, match="set XDG_CACHE_HOME to a folder"):
        cache_folder("indexes")


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("disk/target.csv")
    with new_file(tmp_path / "link.csv") as partial:
        partial.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "disk/target.csv").read_text() == "new"
    (tmp_path / "out").symlink_to("disk")
    with new_directory(tmp_path / "out") as partial:
        (partial / "new").touch()
    assert (tmp_path / "out").is_symlink()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["new"]


def test_a_link_into_the_cache_of_dvc_is_replaced_and_the_cache_is_not(tmp_path):
    """`cache.type symlink` makes outputs links to read-only files that other revisions share."""
    cached = tmp_path / "cache/files/md5/d3/0d4763d222bdabfb7264248c037916"
    cached.parent.mkdir(parents=True)
    cached.write_text("old")
    cached.chmod(0o444)
    out = tmp_path / "prevalence.png"
    out.symlink_to(cached)

    write_json(out, "new")

    assert cached.read_text() == "old"
    assert not out.is_symlink()
    assert out.read_text() == '"new"\n'


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    read: list[bytes] = []
    for name in ("pipe", "link"):
        reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
        reader.start()
        with new_file(tmp_path / name) as partial:
            partial.write_bytes(b"through")
        reader.join(10)
        assert read.pop() == b"through" and (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(PipelineError, match="is a folder; name a file"), new_file(tmp_path):
        pass


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what Python does without one
    with pytest.raises(PipelineError, match=r"no home folder .* set XDG_CACHE_HOME"):
        cache_folder("indexes")


def left(path: Path) -> list[str]:
    """What a process leaves that is killed while it writes the file and folder of that name."""
    code = (
        "import os, signal, sys; from pathlib import Path; from pipeline import files\n"
        "path = Path(sys.argv[1])\n"
        "with files.new_directory(path) as a, files.new_file(path.with_suffix('.csv')) as b:\n"
        "    (a / 'x').touch(), b.touch(), os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    return sorted(p.name for p in path.parent.iterdir())


def test_what_a_killed_writer_left_is_swept_by_the_next_one(tmp_path):
    out = tmp_path / "out/raw"
    assert len(left(out)) == 3  # the folder, the file and the lock
    with new_directory(out), new_file(out.with_suffix(".csv")) as file:
        file.touch()
    assert sorted(p.name for p in out.parent.iterdir()) == ["raw", "raw.csv"]


def test_the_file_of_a_writer_that_is_still_there_is_not_swept(tmp_path):
    theirs = tmp_path / f".a.json.{_own().replace(str(os.getpid()), str(os.getppid()))}.partial"
    theirs.touch()
    write_json(tmp_path / "a.json", 1)
    assert theirs.exists()


def test_a_folder_has_one_writer_whatever_name_it_goes_by(tmp_path):
    (tmp_path / "link").symlink_to("out")
    code = (
        "import sys; from pathlib import Path; from pipeline.files import sole_writer\n"
        "from pipeline.errors import PipelineError\n"
        "try:\n    sole_writer(Path(sys.argv[1])).__enter__()\n"
        "except PipelineError as error:\n    print(error)\n"
    )
    with sole_writer(tmp_path / "out"), sole_writer(tmp_path / "out"):  # a process may do it twice
        for name in ("out", "link"):
            said = subprocess.check_output([sys.executable, "-c", code, tmp_path / name], text=True)
            assert said == (
                f"Another process is writing {tmp_path / 'out'}; wait until it has ended, or end"
                " it, and run again.\n"
            )
    with sole_writer(tmp_path / "link"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["link"]


def test_a_folder_that_was_moved_aside_comes_back(tmp_path):
    """Between the two renames of `put_in_place` a kill leaves it there."""
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old/whole").touch()
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "out"):
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["whole"]


@pytest.mark.parametrize("number", FULL)
def test_the_error_of_a_full_disk_names_what_is_written(tmp_path, number):
    for writer in (new_file, new_directory):
        with pytest.raises(OSError, match=r"'.*/out'") as raised, writer(tmp_path / "out"):
            raise OSError(number, os.strerror(number))
        assert raised.value.filename == str(tmp_path / "out")
    with pytest.raises(OSError) as raised, new_file(tmp_path / "out"):
        raise OSError(errno.EIO, "of what is read")
    assert raised.value.filename is None


def test_temporary_files_lie_in_one_folder_that_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    gone = tmp_path / f"face-attributes-999999999-{_own().partition('-')[2]}-x"
    gone.mkdir()
    with temporary_files_together():
        [folder] = [p for p in tmp_path.iterdir()]
        assert Path(tempfile.mkdtemp()).parent == folder and folder.stat().st_mode & 0o777 == 0o700
        assert subprocess.check_output("echo $TMPDIR", shell=True, text=True) == f"{folder}\n"
    assert [p for p in tmp_path.iterdir()] == []
    assert os.environ["TMPDIR"] == str(tmp_path)


def test_without_room_for_temporary_files_it_says_what_to_do(pipeline, monkeypatch):
    def refuse(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    code, _, err = pipeline("recipe", "quick")
    assert code == 1 and err.startswith("error: No temporary folder can be made (No space left on")


@pytest.mark.parametrize("name", ["9" * 30, "x", "1-other", "", "-"])
def test_what_another_machine_or_nobody_writes_is_left_for_a_day(tmp_path, name):
    """Two containers on one disk have processes of the same number."""
    theirs = tmp_path / f".a.json.{name}.partial"
    theirs.touch()
    write_json(tmp_path / "a.json", 1)
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    write_json(tmp_path / "a.json", 1)
    assert theirs.exists() == (name != "1-other")


def test_names_of_anybody_in_tmpdir_stop_no_command(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / f"face-attributes-{'9' * 30}-x").mkdir()
    with temporary_files_together():
        pass


def test_a_file_in_the_place_of_a_folder_is_replaced_twice(tmp_path):
    (tmp_path / "out").touch()
    (tmp_path / ".out.old").touch()
    for _ in range(2):
        with new_directory(tmp_path / "out") as out:
            (out / "x").touch()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_what_is_in_the_way_of_a_lock_or_a_folder_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / ".out.lock").mkdir()
    with (
        pytest.raises(PipelineError, match=r"out.lock is in the way of a lock"),
        sole_writer(tmp_path / "out"),
    ):
        pass
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    with (
        pytest.raises(PipelineError, match=r"is where a disk is mounted"),
        new_directory(tmp_path / "disk"),
    ):
        pass
