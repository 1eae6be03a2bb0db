"""What is said of pictures holds: colours by names of their own, and files by what is wrong with them."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from oco2_outliers.albums.odd_ones import _BINS
from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_clusters import odd_pictures, picture_vectors
from oco2_outliers.image_forest import scan_folder
from oco2_outliers.pictures.reading import MAX_PIXELS, decode_picture, read_picture
from oco2_outliers.pictures.reasons import UsualRange, column_names, reasons_of


@pytest.mark.parametrize("bins", [_BINS, (3, 3, 3), (4, 6, 3), (18, 3, 3), (16, 2, 5), (3, 3, 8)])
def test_no_two_colours_of_a_reason_bear_one_name(bins):
    names = column_names("colour", bins)
    assert len(set(names)) == len(names) == np.prod(bins)
    shares = np.zeros((60, len(names)))
    shares[:, 0] = 1
    usual = UsualRange.of(shares, "colour", bins)
    odd = np.zeros((1, len(names)))
    odd[0, -3:] = 1 / 3
    told = [part.partition(": ")[2].partition(" (")[0] for part in reasons_of(usual, odd)[0].split("; ")]
    assert len(set(told)) == len(told) > 1


def test_words_of_odd_pictures_need_no_steps():
    assert not any("[" in name for name in column_names("colour", _BINS))


def tiff_of(bands):
    """A TIFF of several bands, shape (height, width, bands), as the tools of satellites write it."""
    (height, width, n), bits = bands.shape, 8 * bands.itemsize
    fields = [(256, width), (257, height), (258, [bits] * n), (259, 1), (262, 1), (273, None), (277, n),
              (278, height), (279, bands.nbytes), (339, [{"u": 1, "i": 2, "f": 3}[bands.dtype.kind]] * n)]
    far, begin, head = b"", 8 + 2 + 12 * len(fields) + 4, b"II*\0" + struct.pack("<IH", 8, len(fields))
    for tag, value in fields:
        if isinstance(value, list) and n == 1:
            head += struct.pack("<HHII", tag, 3, 1, value[0])
        elif isinstance(value, list):
            head += struct.pack("<HHII", tag, 3, n, begin + len(far))
            far += np.array(value, "<u2").tobytes()
        else:
            head += struct.pack("<HHII", tag, 4, 1, begin + 4 * n * (n > 1) if value is None else value)
    return head + bytes(4) + far + bands.tobytes()


@pytest.mark.parametrize(("n", "kind", "said"), [(13, "u2", "TIFF of 13 x 16 bits;"), (3, "u2", "TIFF of 3 x 16 bits;"),
                                                 (5, "f4", "TIFF of 5 x 32 bits, floating point;")])
def test_a_whole_tiff_of_bands_is_not_called_damaged(tmp_path, capfd, n, kind, said):
    data = tiff_of(np.ones((40, 50, n), f"<{kind}"))
    for name, content, reason in (("whole", data, said), ("cut", data[:-9], "truncated or damaged TIFF")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=reason):
            read_picture(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["i1", "i2"])
def test_numbers_below_0_are_refused(tmp_path, kind):
    """Heights below the sea came out as the brightest of all."""
    rising = np.linspace(-100, 100, 40 * 50).astype(f"<{kind}").reshape(40, 50, 1)
    path = tmp_path / "heights.tif"
    path.write_bytes(tiff_of(rising))
    with pytest.raises(InputError, match="signed numbers, the lowest -100: a picture has none below 0"):
        read_picture(path)
    path.write_bytes(tiff_of(np.abs(rising)))
    assert read_picture(path).shape == (40, 50, 3)


def test_small_numbers_of_16_bits_are_told(tmp_path):
    """Reflectances up to 10,000 leave 39 of 256 levels; numbers spread over the range leave all."""
    counts = np.linspace(0, 10_000, 40 * 50).astype(np.uint16).reshape(40, 50)
    for name, numbers, said in (("a.tif", counts, True), ("b.tif", counts * 6, False), ("c.png", counts, True)):
        cv2.imwrite(str(tmp_path / name), numbers)
        note = decode_picture((tmp_path / name).read_bytes(), 1, MAX_PIXELS)[3]
        assert "16-bit" in note and ("spread the numbers" in note) == said, note


def test_a_scan_without_a_usable_picture_leaves_no_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="no usable picture among 1 file"):
        scan_folder(tmp_path / "in", tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_numbers_of_32_bits_are_named_and_16_are_noted(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.tif"), np.full((40, 50, 3), 40_000, np.uint16))
    assert decode_picture((tmp_path / "deep.tif").read_bytes(), 1, MAX_PIXELS)[3] == "16-bit"
    Image.fromarray(np.ones((40, 50), np.float32)).save(tmp_path / "height.tif")
    with pytest.raises(InputError, match="TIFF of 1 x 32 bits, floating point; turn it into JPEG or PNG"):
        read_picture(tmp_path / "height.tif")


def test_vectors_of_a_picture_that_was_replaced_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    v = picture_vectors(tmp_path)
    assert len(odd_pictures(v)) == 12
    cv2.imwrite(str(tmp_path / "3.png"), np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(InputError, match="pictures changed since their vectors were made; '3.png': another file now"):
        odd_pictures(v)
    assert len(odd_pictures(v, looks=False)) == 12
