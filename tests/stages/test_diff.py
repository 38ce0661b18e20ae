"""`pipeline diff` in a repository of git and DVC: what it reads, from where, and what it says."""

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.browser import chromium, needs_chromium, visit
from tests.support.versions import Project, change_index, rows_of_index

INDEX = {"index.json", "index.parquet"}


@pytest.fixture(scope="module")
def original(tmp_path_factory, shards):
    """Two versions, an experiment, corrections of each kind, and all of it in a remote.

    v1: the shards. v2: 5 flips, one unknown label, one identity, one picture, one image in another
    split, 3 images less. `tuned` is an experiment of v2 with a correction. The workspace is at v2.
    """
    folder = tmp_path_factory.mktemp("versions")
    project = Project(folder / "project")
    project.folder.mkdir()
    project.start()
    project.use(shards)
    project.keep("v1")
    keys = [key for key, row in rows_of_index(shards).items() if row["split"] == "train"]

    def change(rows):
        for key in keys[:5]:
            rows[key]["Smiling"] = not rows[key]["Smiling"]
        rows[keys[5]]["Young"] = None
        rows[keys[6]]["celeb_id"] = 987_654
        rows[keys[7]]["crc32"] ^= 1
        rows[keys[8]]["split"] = "test"
        for key in keys[10:13]:
            del rows[key]

    project.use(change_index(shards, folder / "second", change))
    project.keep("v2")
    row = rows_of_index(folder / "second")[keys[20]]
    project.correct(f"{keys[20]},Bald,{row['Bald']:d},{not row['Bald']:d},seen\n")
    project.commit("tuned-commit")
    experiment = project.git("rev-parse", "HEAD")
    start = project.git("rev-parse", "v2")
    project.git("reset", "-q", "--hard", "v2")
    project.git("tag", "-d", "tuned-commit")
    project.git("update-ref", f"refs/exps/{start[:2]}/{start[2:]}/tuned", experiment)
    project.dvc("remote", "add", "-d", "store", str(folder / "remote"))
    project.git("commit", "-q", "-a", "-m", "remote")
    project.dvc("push", "-q")
    lock = (project.folder / "dvc.lock").read_text()
    (project.folder / "dvc.lock").write_text(project.git("show", "v1:dvc.lock"))
    project.dvc("push", "-q")
    (project.folder / "dvc.lock").write_text(lock)
    return project


@pytest.fixture
def project(original, tmp_path, pipeline, monkeypatch):
    """A copy of it, in which we are."""
    shutil.copytree(original.folder, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
        monkeypatch.setenv(f"DVC_{name}_DIR", str(tmp_path / "dvc" / name))
    copy = Project(tmp_path / "copy")
    copy.pipeline = pipeline
    return copy


def told(project, *arguments):
    code, out, err = project.pipeline("diff", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_two_revisions_from_the_cache_alone(project):
    shutil.rmtree("data/synthetic")
    found = told(project, "v1", "v2")
    assert found["counts"] == {
        "removed": 3, "added": 0, "picture": 1, "split": 1, "identity": 1, "label": 6,
    }  # fmt: skip
    assert {by["corrections"] for by in found["by"].values()} == {0}
    assert found["before"]["images"] == {"train": 48, "valid": 16, "test": 20}
    assert found["after"]["images"] == {"train": 44, "valid": 16, "test": 21}
    assert found["splits"] == [{"from": "train", "to": "test", "images": 1}]
    smiling, young = found["labels"]
    assert smiling["attribute"] == "Smiling" and smiling["0_to_1"] + smiling["1_to_0"] == 5
    assert young["attribute"] == "Young" and young["to_unknown"] == 1
    assert len(found["changes"]) == 12 and len(found["shifts"]) == 120
    lock = project.git("show", "v1:dvc.lock")
    assert found["before"]["data"] == re.search("md5: ([0-9a-f]{8})", lock)[1]


def test_the_default_is_what_the_workspace_has_that_head_has_not(project):
    assert told(project)["differs"] is False
    code, out, _ = project.pipeline("diff")
    assert code == 0 and out.endswith("\nNothing differs.\n")
    rows = rows_of_index(Path("data/synthetic/shards"))
    one, two, three = [key for key, row in rows.items() if row["split"] == "train"][20:23]
    project.correct(
        f"{one},Bald,{rows[one]['Bald']:d},,\n{two},image,keep,drop,\n"
        f"{three},split,train,valid,\n{three},Male,{rows[three]['Male']:d},"
        f"{rows[three]['Male']:d},looked at\n"
    )
    found = told(project)
    assert [found[side]["revision"] for side in ("before", "after")] == ["HEAD", "workspace"]
    assert [(c["key"], c["what"], c["after"], c["by"]) for c in found["changes"]] == [
        (two, "removed", "", "corrections"),
        (three, "split", "valid", "corrections"),
        (one, "label", "", "corrections"),
    ]
    code, out, _ = project.pipeline("diff", "v1")
    assert code == 0 and re.search(r"4  images removed: 3 by the source, 1 by corrections\n", out)


def test_an_experiment_is_a_revision(project):
    found = told(project, "v2", "tuned")
    [change] = found["changes"]
    assert (change["attribute"], change["by"]) == ("Bald", "corrections")
    assert re.fullmatch(r"[0-9a-f]{8}\+1:[0-9a-f]{4}", found["after"]["data"])
    assert found["before"]["data"] == found["after"]["data"][:8]


def test_of_a_folder_that_dvc_does_not_know_the_folder_counts(project):
    """dvc.lock is still of v2."""

    def change(rows):
        rows.popitem()

    shards = Path("data/synthetic/shards")
    shutil.move(shards, "before")
    change_index(Path("before"), shards, change)
    assert told(project)["counts"]["removed"] == 1


def test_the_table_has_a_row_for_each_change(project):
    code, out, _ = project.pipeline("diff", "v1", "v2", "--csv", "changes.csv")
    assert code == 0 and out.endswith("changes.csv: a row for each change\n")
    with open("changes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == told(project, "v1", "v2")["changes"]
    first = Path("changes.csv").read_bytes()
    project.pipeline("diff", "v1", "v2", "--csv", "changes.csv")
    assert Path("changes.csv").read_bytes() == first
    assert project.pipeline("diff", "v1", "v1", "--csv", "none.csv")[0] == 0
    assert Path("none.csv").read_text() == "key,split,what,attribute,before,after,by\n"


def test_the_remote_is_asked_for_the_index_alone(project, original, tmp_path):
    """Tars that are not in the remote cannot be asked for."""
    tars = {
        path.parent.name + path.name
        for tag in ("v1", "v2")
        for name, path in original.listing(tag).items()
        if name not in INDEX and name
    }
    remote = tmp_path / "remote"
    shutil.copytree(original.folder.parent / "remote", remote)
    for path in [*remote.rglob("*")]:
        if path.is_file() and path.parent.name + path.name in tars:
            path.unlink()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/synthetic")
    project.dvc("config", "--local", "remote.store.url", str(remote))
    code, out, err = project.pipeline("diff", "v1", "tuned", "--json")
    assert code == 0, err
    assert json.loads(out)["counts"]["label"] == 7
    assert err.splitlines() == [
        f"{name}: DVC's cache lacks the index; asking the remote store" for name in ("v1", "tuned")
    ]
    assert not [path for path in Path().rglob("*.tar")] and not Path(".dvc/cache/files").exists()
    kept = Path(os.environ["XDG_CACHE_HOME"], "face-attributes/versions")
    assert {path.name for folder in kept.iterdir() for path in folder.iterdir()} == INDEX
    shutil.rmtree(remote)  # it is not asked twice
    assert told(project, "v1", "tuned")["counts"]["label"] == 7


def test_another_cache_of_dvc_is_found(project, tmp_path):
    """As machines have that share one."""
    shutil.move(".dvc/cache", tmp_path / "shared")
    project.dvc("config", "--local", "cache.dir", str(tmp_path / "shared"))
    shutil.rmtree("data/synthetic")
    assert told(project, "v1", "v2")["counts"]["label"] == 6


@pytest.mark.parametrize(
    ("lost", "damage", "said"),
    [
        ("index.parquet", None, "and the remote store does not give it (DVC says: "),
        ("", None, "and the remote store does not give it (DVC says: "),
        ("index.parquet", b"[]", "it keeps index.parquet as "),
    ],
)
def test_an_index_that_is_nowhere_is_a_sentence(project, lost, damage, said):
    project.dvc("config", "--local", "remote.store.url", "nowhere")
    path = project.listing("v1")[lost]
    path.chmod(0o644)
    path.unlink() if damage is None else path.write_bytes(damage)
    code, out, err = project.pipeline("diff", "v1", "v2")
    assert code == 1 and out == "" and len(err.splitlines()) == 2
    [line] = err.splitlines()[1:]
    assert line.startswith("error: The index of data/synthetic/shards at v1 is not whole in DVC's")
    assert said in line and "Traceback" not in err
    kept = Path(os.environ["XDG_CACHE_HOME"], "face-attributes/versions")
    assert not [*kept.iterdir()]


def test_a_list_of_another_version_is_not_believed(project):
    project.dvc("config", "--local", "remote.store.url", "nowhere")
    lists = [project.listing(tag)[""] for tag in ("v1", "v2")]
    lists[0].chmod(0o644)
    lists[0].write_bytes(lists[1].read_bytes())
    code, _, err = project.pipeline("diff", "v1", "v2")
    assert code == 1
    assert re.fullmatch(r"error: \S+\.dir in DVC's cache is damaged; delete it, .*\n", err)


def test_without_a_remote_nobody_is_asked(project):
    project.dvc("remote", "remove", "store")
    project.listing("v1")["index.json"].unlink()
    code, _, err = project.pipeline("diff", "v1", "v2")
    assert code == 1 and len(err.splitlines()) == 1
    assert "and the project names no default remote to ask; name the one that it was" in err


def test_a_damaged_index_that_was_committed_is_a_sentence(project):
    Path("data/synthetic/shards/index.parquet").unlink()
    Path("data/synthetic/shards/index.parquet").write_bytes(b"PAR1 and so on PAR1")
    code, _, err = project.pipeline("diff", "v1")
    assert code == 1 and "data/synthetic/shards/index.parquet cannot be read" in err
    project.keep("broken")
    code, _, err = project.pipeline("diff", "v1", "broken")
    assert code == 1 and "Traceback" not in err and "/tmp" not in err
    assert err.startswith("error: broken:data/synthetic/shards/index.parquet cannot be read (")
    assert err.endswith("; name another revision.\n")


def first(rows):
    return next(iter(rows.values()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.update(twice=dict(first(rows))), "a key stands there twice"),
        (lambda rows: first(rows).update(split="other"), "a split or a shard is none of"),
        (lambda rows: first(rows).update(length=None), "it has nulls in length"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(project, change, said, tmp_path):
    shards = Path("data/synthetic/shards")
    shutil.move(shards, tmp_path / "whole")
    change_index(tmp_path / "whole", shards, change)
    code, out, err = project.pipeline("diff")
    assert code == 1 and out == "" and "Traceback" not in err
    assert said in err and len(err.splitlines()) == 1


def test_an_index_of_other_counts_is_refused(project):
    path = Path("data/synthetic/shards/index.json")
    index = json.loads(path.read_text())
    index["shards"]["train"][0]["samples"] -= 1
    index["shards"]["test"][0]["samples"] += 1
    path.unlink()
    path.write_text(json.dumps(index))
    code, _, err = project.pipeline("diff")
    assert code == 1 and "index.parquet has 44 samples of train, index.json has 43" in err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("nobody,Bald,0,1,\n", "corrects nobody, and there is no sample of this key"),
        ("../../etc/passwd,Bald,0,1,\n", "is no key of a sample"),
        ("000001,Bald,0,2,\n", "cannot be '2'"),
        ("\0\n", "corrections/synthetic.csv"),
        ("<<<<<<< HEAD\n", "of a merge that git left"),
    ],
)
def test_hostile_corrections_of_a_revision_are_a_sentence(project, rows, said):
    project.correct(rows)
    project.commit("hostile")
    code, out, err = project.pipeline("diff", "v1", "hostile")
    assert code == 1 and out == "" and "Traceback" not in err
    assert said in err and "hostile:corrections/synthetic.csv" in err
    assert len(err.splitlines()) == 1


def test_bytes_that_are_no_text_in_corrections_are_a_sentence(project):
    Path("corrections/synthetic.csv").write_bytes(b"\xff\xfe\x00")
    project.commit("hostile")
    code, _, err = project.pipeline("diff", "v1", "hostile")
    assert code == 1
    assert err.startswith("error: hostile:corrections/synthetic.csv is no text in UTF-8")


def test_other_sources_are_compared_and_said(project, shards):
    project.use(shards, "folder")
    project.keep("other")
    code, out, _ = project.pipeline("diff", "v1", "other")
    assert code == 0
    assert "The sources differ, synthetic and folder: images of one key are taken for" in out
    assert "Nothing differs." in out  # the same shards in another place


def test_a_revision_before_the_first_run_is_a_sentence(project):
    Path("dvc.lock").unlink()
    project.commit("early")
    code, _, err = project.pipeline("diff", "early")
    assert code == 1 and err.startswith(
        "error: dvc.lock at early tells of no data/synthetic/shards"
    )


@pytest.mark.parametrize("source", ["../../elsewhere", "a/b", "3", "null"])
def test_a_source_that_is_no_name_is_refused(project, source):
    Path("params.yaml").write_text(f"data:\n  source: {source}\n")
    code, _, err = project.pipeline("diff")
    assert (code, err) == (
        1, "error: params.yaml at workspace names no data.source; name another revision.\n",
    )  # fmt: skip


def test_without_shards_here_it_says_what_to_do(project):
    shutil.rmtree("data/synthetic")
    code, _, err = project.pipeline("diff")
    assert code == 1 and "error: data/synthetic/shards is not here; run `dvc pull" in err


def test_what_data_where_leaves_out_is_compared_and_said(project):
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("where: null", "where: not Bald"))
    code, out, _ = project.pipeline("diff")
    assert code == 0
    assert "data.where (nothing, then not Bald) is not applied: compared are all images." in out


def test_no_module_of_the_folder_is_run(project, tmp_path):
    """DVC is asked where its cache is; a folder `dvc` of the project is not DVC."""
    Path("dvc").mkdir()
    Path("dvc/__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    project.listing("v1")["index.json"].unlink()
    code, _, err = project.pipeline("diff", "v1", "v2")  # from the remote
    assert code == 0, err
    assert not (tmp_path / "ran").exists()


@needs_chromium
def test_the_page_shows_the_pictures_and_asks_nobody(project):
    code, out, _ = project.pipeline("diff", "v1", "--page", "page.html")
    assert code == 0
    assert "page.html: 11 samples with pictures, 1 whose shards are not on this machine" in out
    page = Path("page.html")
    first = page.read_bytes()
    with chromium() as browser, visit(browser, page.absolute().as_uri(), 390, 844) as seen:
        assert not seen.elsewhere and not seen.errors
        widths = "[...document.images].map((image) => image.naturalWidth)"
        assert seen.page.evaluate(widths) == [64] * 11
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    project.pipeline("diff", "v1", "--page", "page.html")
    assert page.read_bytes() == first


def test_pictures_that_are_not_here_are_counted(project):
    for name, path in project.listing("v1").items():
        if name.endswith(".tar"):
            path.chmod(0o644)
            path.unlink()
    shutil.rmtree("data/synthetic")
    code, out, _ = project.pipeline("diff", "v1", "v2", "--page", "page.html")
    assert code == 0
    assert "page.html: 0 samples with pictures, 12 whose shards are not on this machine" in out
    assert "<img" not in Path("page.html").read_text()


def test_of_real_faces_the_page_says_that_it_stays_here(project, shards):
    project.use(shards, "folder")
    project.keep("one")
    rows = rows_of_index(Path("data/folder/shards"))
    project.correct(f"{next(iter(rows))},image,keep,drop,\n", "folder")
    project.pipeline("diff", "--page", "page.html", "--pictures", "1")
    text = Path("page.html").read_text()
    assert "They stay on this machine: do not pass this page on" in text
    assert text.count("<img") == 1 and "http" not in text.replace("http-equiv", "")


def test_a_hostile_shard_name_or_key_does_not_steer_the_page(project, tmp_path):
    def change(rows):
        for row in [*rows.values()][:2]:
            row["key"] = "<script>alert(1)</script>\x1b[2J"
            break

    place = change_index(Path("data/synthetic/shards"), tmp_path / "odd", change)
    shutil.rmtree("data/synthetic/shards")
    shutil.move(place, "data/synthetic/shards")
    code, out, _ = project.pipeline("diff", "--page", "page.html")
    assert code == 0 and "\x1b" not in out
    assert "<script" not in Path("page.html").read_text()


def test_python_runs_dvc_as_a_program_of_its_own(project, monkeypatch):
    """Nothing imports it: half a second in every command."""
    monkeypatch.delitem(sys.modules, "dvc", raising=False)  # of tests before this one
    told(project, "v1", "v2")
    assert "dvc" not in sys.modules
