"""Runs without a notebook open: what they write."""

from pathlib import Path

from workshop_lib.headless import relinked
from workshop_lib.paths import ROOT


def test_links_of_a_page_lead_somewhere() -> None:
    """Without it every link of an executed lab's page would be dead, as the page lies elsewhere than the notebook."""
    html = '<a href="../03_cascade/lab.ipynb">03</a> <a href="../../COURSE.md">syllabus</a> <a href="https://example.org/">out</a>'
    here = relinked(html, ROOT / "out")
    assert here == '<a href="03_cascade.html">03</a> <a href="../COURSE.md">syllabus</a> <a href="https://example.org/">out</a>'
    assert 'href="../../COURSE.md"' in relinked(html, ROOT / "out" / "deep")


def test_a_folder_outside_the_checkout_links_back(tmp_path: Path) -> None:
    """Without it a report written with --out would link into nothing."""
    link = relinked('<a href="../../COURSE.md">', tmp_path).split('"')[1]
    assert (tmp_path / link).resolve() == ROOT / "COURSE.md"
