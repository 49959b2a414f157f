"""`hnscc fetch` as a user gives it; what it fetches is tested in tests/data_prep/test_fetch.py."""

from commands import refused
from web import web_server

from data_prep.public.sts import sts_files


def test_a_copy_is_asked_for_the_first_file_and_what_it_lacks_is_told(hnscc, tmp_path):
    with web_server() as web:
        error = refused(hnscc("fetch", "sts", tmp_path / "sts", "--from", f"{web.address}/copy"))
        first = f"/copy/{sts_files()[0].path}"
        assert set(web.asked) == {first} and f"{web.address}{first}" in error and "HTTP 404" in error


def test_no_web_address_and_no_cohort_are_told(hnscc, tmp_path):
    assert "web server" in refused(hnscc("fetch", "sts", tmp_path / "sts", "--from", "/disk/sts"))
    assert "begins with ftp:" in refused(hnscc("fetch", "sts", tmp_path / "sts", "--from", "ftp://host/sts"))
    assert "sts" in refused(hnscc("fetch", "brain", tmp_path / "sts"))
    assert list(tmp_path.iterdir()) == []
