"""prepare.html in the store: one file that shows every scan, marks what is odd, and tells nothing but pseudonyms."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scans import save, scan_arrays, write

import hnscc as package
from hnscc.base.errors import InputError
from hnscc.cohort.store_format import PAGE


class Page(HTMLParser):
    """What the tests ask of a page: its tags with their attributes, and its words."""

    def __init__(self, text: str):
        super().__init__()
        self.text, self.tags, self.words = text, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def sheet(self, scan: str) -> np.ndarray:
        """The pixels of a scan's contact sheet."""
        found = re.search(rf'id="scan-{scan}">.*?base64,([^"]+)"', self.text, re.DOTALL).group(1)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(found)))).astype(int)

    def histograms(self, scan: str) -> list[bool]:
        """Of each modality, whether its histogram is marked."""
        row = re.search(rf'<tr><th scope="row"><a href="#scan-{scan}">.*?</tr>', self.text, re.DOTALL).group(
            0
        )
        return [" class=" in cell for cell in re.findall(r"<td([^>]*)><svg", row)]


def manifest_of(folder, odd=()):
    """Six scans of patients whose files bear their names, the last without a mask; `odd`: in another unit of values."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(6):
        pet, mri, mask = scan_arrays(number)
        pet *= np.linspace(1, 1.2, 5, dtype=np.float32)  # no two slices end at one highest value
        mri[1:] /= 5  # all but half of the outermost column is dark: no white but the mask's line
        mri[0, 8:] /= 5
        write(folder / "Jane_Doe" / f"{number}-pet.nii", pet * (5000 if number in odd else 1))
        write(folder / "Jane_Doe" / f"{number}-mri.nii", mri)
        write(folder / "Jane_Doe" / f"{number}-mask.nii", mask)
        cells = [f"Jane_Doe/{number}-{name}.nii" for name in ("pet", "mri", "mask")]
        rows.append([f"P{number}", f"S{number}", *cells[:2], cells[2] if number < 5 else ""])
    return save(folder, rows)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A store of a cohort with one odd scan, and its page."""
    folder = tmp_path_factory.mktemp("odd")
    store = folder / "mine.zarr"
    package.prepare(manifest_of(folder, odd=[2]), store, size=32, workers=1, accept_odd="known <b>")
    return store, Page((store / PAGE).read_text())


def test_the_page_needs_nothing_else_and_tells_no_path(prepared):
    _, page = prepared
    assert "Jane" not in page.text and ".nii" not in page.text
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    loaded = [
        each[name] for _, each in page.tags for name in ("src", "srcset", "data", "action") if name in each
    ]
    assert len(loaded) == 6 and all(each.startswith("data:image/jpeg;base64,") for each in loaded)
    links = [each["href"] for tag, each in page.tags if tag == "a"]
    ids = {each["id"] for _, each in page.tags if "id" in each}
    assert (
        links and {link.removeprefix("#") for link in links} <= ids and all(link[0] == "#" for link in links)
    )
    assert "url(" not in page.text and "@import" not in page.text
    assert "known <b>" in "".join(page.words), "text of users is text, not markup"


def test_what_is_odd_is_marked_and_nothing_else(prepared):
    _, page = prepared
    words = "".join(page.words)
    assert "6 patients, 6 scans (5 with lesion), 30 slices (15 with lesion)" in words
    assert "taken as free of lesion by an empty cell: 1 of 6 scans: S5" in words
    assert [page.histograms(f"S{number}") for number in range(6)] == [
        [number == 2, False] for number in range(6)
    ]
    assert "S2: pet cannot be in one unit of values with 5 others" in words
    odd = [each["href"] for tag, each in page.tags if tag == "a" and each.get("class") == "odd"]
    assert odd == ["#scan-S2"]
    assert re.search(r"S2</th>.*?pet.*?pet cannot be in one unit of values", page.text, re.DOTALL)


def test_the_geometry_is_that_of_the_files(prepared):
    _, page = prepared
    row = re.findall(r"<tr><th scope=\"row\"[^>]*>S0</th>(.*?)</tr>", page.text)
    cells = [re.sub(r"\s", " ", re.sub(r"<[^>]+>", "|", each)) for each in row]
    for cell, name in zip(cells, ("pet", "mri", "mask"), strict=True):
        values = [each for each in cell.split("|") if each]
        assert values[:4] == [name, "20 x 16 x 5", "1 x 1 x 3", "20 x 16 x 15"]
        assert values[4:7] == ["LPS", "0°", "sform"] and values[-1] == "ok"


def test_the_sheet_shows_the_slices_with_the_outline_of_the_mask(prepared):
    """The mask of 8 x 7 of 20 x 16 pixels, in slices 1 to 3: white lines in the last row of pictures."""
    _, page = prepared
    sheet = page.sheet("S0")
    side = (sheet.shape[0] + 2) // 3 - 2
    assert sheet.shape == (3 * (side + 2) - 2, 4 * (side + 2) - 2, 3), "coronal and three slices"
    left = (side + 2) * 2
    outlined = sheet[-side:, left : left + side].min(axis=2) > 128
    outlined[:, : side // 10] = False
    columns = np.flatnonzero(outlined.any(axis=0))
    assert columns[0] / side == pytest.approx(6 / 20, abs=0.04)
    assert (columns[-1] + 1) / side == pytest.approx(14 / 20, abs=0.04)
    without = page.sheet("S5")[-side:, left : left + side].min(axis=2) > 128
    assert not without[:, side // 10 :].any(), "no mask, no line"


def test_a_refused_cohort_has_no_page_and_a_replaced_store_a_new_one(prepared, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="cannot be in one unit of values"):
        package.prepare(manifest_of(tmp_path / "odd", odd=[1]), tmp_path / "out/s.zarr", size=16, workers=1)
    assert list((tmp_path / "out").iterdir()) == []
    store, _ = prepared
    manifest = manifest_of(tmp_path / "new")
    package.prepare(manifest, store, size=32, workers=1, overwrite=True)
    page = Page((store / PAGE).read_text())
    assert "No scan is odd against the others" in "".join(page.words)
    assert not any(any(page.histograms(f"S{number}")) for number in range(6))


def test_the_command_says_where_it_is(hnscc, tmp_path):
    code, out, _ = hnscc("prepare", manifest_of(tmp_path), tmp_path / "s.zarr", "--size", 16, "--workers", 1)
    assert code == 0 and f"look:  {tmp_path / 's.zarr' / PAGE}" in out
    assert (tmp_path / "s.zarr" / PAGE).is_file()
    code, _, _ = hnscc("verify", tmp_path / "s.zarr")
    assert code == 0
