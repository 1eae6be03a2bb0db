"""Files that are half there, of other kinds, or too large: each is read right, or named with the reason."""
from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import (
    ImageForest,
    contact_sheet,
    judge_picture,
    load_dataset,
    read_picture,
    scan_folder,
    simulate_pictures,
    train_model,
)
from oco2_outliers.page.packing import Pack
from oco2_outliers.page.thumbnails import packed_pictures
from oco2_outliers.pictures import jpeg_scans
from oco2_outliers.pictures.jpeg_scans import check_jpeg
from oco2_outliers.pictures.kinds import list_files, picture_kind
from oco2_outliers.pictures.reading import MAX_PIXELS, _png_head, limit_of_scored
from oco2_outliers.pictures.rows import PictureReader


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    return cv2.imread(simulate_pictures(tmp_path_factory.mktemp("one"), n_pictures=1, odd_kinds=[]).path[0])


@pytest.fixture
def folder(tmp_path, forest):
    """A folder of twelve good pictures, in a folder of its own."""
    (tmp_path / "in").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "in" / f"good_{number:02d}.png"), np.roll(forest, 8 * number, axis=1))
    return tmp_path / "in"


def reasons(folder):
    """Name -> reason of the files in a folder that cannot be used."""
    return {os.path.basename(row.name): row.reason for row in PictureReader().rows(folder) if row.features is None}


def packed(image, kind, **settings):
    file = io.BytesIO()
    Image.fromarray(image[:, :, ::-1]).save(file, kind, **settings)
    return file.getvalue()


# --- JPEG whose data are not whole ---


def jpegs(forest):
    """Whole JPEGs of every way of coding."""
    rng = np.random.default_rng(0)
    for number in range(24):
        width, height = rng.integers(9, 200, 2)
        picture = Image.fromarray(cv2.resize(forest, (int(width), int(height)))[:, :, ::-1])
        file = io.BytesIO()
        picture.convert(["RGB", "L", "CMYK"][number % 3]).save(
            file, "JPEG", quality=85, progressive=number % 2 == 1, optimize=number % 4 < 2, subsampling=number % 3,
            restart_marker_blocks=5 if number % 8 in (2, 3) else 0)
        yield file.getvalue()


def test_whole_jpegs_pass_and_those_with_a_hole_do_not(forest):
    rng = np.random.default_rng(1)
    for data in jpegs(forest):
        for extra in (b"", b"\0" * 40, b"after the end: \xff\xd8 a second picture"):
            check_jpeg(data + extra)
        begin = data.find(b"\xff\xda") + 14
        first, last = np.sort(rng.integers(begin, len(data) - 2, 2))
        if last - first < 30:
            continue
        for damaged in (data[:first] + data[-2:], data[:first] + data[last:], data[:first] + data):
            with pytest.raises(InputError, match="JPEG"):
                check_jpeg(damaged)


def test_a_progressive_jpeg_without_its_last_scan_is_named(forest):
    data = packed(forest, "JPEG", progressive=True)
    check_jpeg(data)
    with pytest.raises(InputError, match="last scans are missing"):
        check_jpeg(data[: data.rfind(b"\xff\xda")] + b"\xff\xd9")


def test_a_small_jpeg_cannot_keep_the_walk_busy(forest):
    data = packed(forest, "JPEG", progressive=True)
    first = data.find(b"\xff\xda")
    scan = data[first : data.find(b"\xff\xc4", first)]
    with pytest.raises(InputError, match="more than 500 scans"):
        check_jpeg(data[:first] + scan * 600 + b"\xff\xd9")


def test_random_bytes_in_a_jpeg_never_break_the_check(forest):
    rng = np.random.default_rng(2)
    for data in jpegs(forest):
        for _ in range(20):
            broken = bytearray(data)
            for at in rng.integers(2, len(data), 3):
                broken[at] = rng.integers(256)
            with contextlib.suppress(InputError):
                check_jpeg(bytes(broken))


def test_groups_of_codes_and_single_codes_end_at_the_same_bit(forest):
    """A scan is read code by code too, with an empty table of groups: whole, cut, damaged and at random."""
    walk, rng, ends = jpeg_scans._compiled(jpeg_scans._walk_plain), np.random.default_rng(3), set()
    jpeg = jpeg_scans._Jpeg(b"")
    head = next(jpegs(forest))
    for part in head.split(b"\xff\xc4")[1:]:
        jpeg.read_tables(part[2 : int.from_bytes(part[:2])])
    first, rest = (np.array([jpeg.tables[kind], jpeg.tables[kind + 1]]) for kind in (0, 16))
    groups = np.array([jpeg_scans._compiled(jpeg_scans._grouped)(codes) for codes in rest])
    blocks = np.array([4, 1])
    for _ in range(300):
        scan = rng.integers(0, rng.choice([2, 100, 256]), rng.integers(40, 400)).astype(np.uint8)
        units = int(rng.integers(1, 12))
        by_groups = walk(scan, 0, len(scan) - 8, units, blocks, first, rest, groups)
        assert by_groups == walk(scan, 0, len(scan) - 8, units, blocks, first, rest, np.zeros_like(groups))
        ends.add(np.sign(by_groups))
    assert ends == {-1, 1}


def test_a_damaged_jpeg_is_skipped_and_named(folder, forest, capfd):
    data = packed(cv2.resize(forest, (512, 384)), "JPEG", quality=92)
    third = len(data) // 3
    for name, broken in {"missing.jpg": data[:third] + data[-2:], "again.jpg": data[:third] + data,
                         "zeros.jpg": data[:third] + bytes(len(data) - 2 - third) + data[-2:],
                         "flipped.jpg": data[:third] + bytes([data[third] ^ 24]) + data[third + 1 : -2000]}.items():
        (folder / name).write_bytes(broken)
    table = scan_folder(folder, folder.parent / "out")
    assert len(table) == 12
    skipped = pd.read_csv(folder.parent / "out" / "skipped.csv")
    found = dict(zip(skipped.path.map(os.path.basename), skipped.reason))
    assert set(found) == {"missing.jpg", "again.jpg", "zeros.jpg", "flipped.jpg"}
    assert all("JPEG" in reason for reason in found.values())
    assert "Corrupt" not in capfd.readouterr().err
    with pytest.raises(InputError, match=r"missing.jpg.*damaged JPEG \(a piece of its data is missing\)"):
        read_picture(folder / "missing.jpg")


# --- the other kinds, cut and damaged ---


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("kind, settings", [
    ("PNG", {}), ("GIF", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {}), ("BMP", {}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("PPM", {}),
    ("JPEG2000", {}), ("JPEG", {"progressive": True})])
def test_a_picture_cut_anywhere_is_named(folder, forest, kind, settings):
    data = packed(forest, kind, **settings)
    cuts = [9, 40, len(data) // 4, len(data) // 2, len(data) - 40]
    for at in cuts:
        (folder / f"cut_{at}.picture").write_bytes(data[:at])
    (folder / "middle.picture").write_bytes(data[: len(data) // 3] + data[len(data) // 2 :])
    (folder / "whole.picture").write_bytes(data)
    found = reasons(folder)
    assert set(found) == {f"cut_{at}.picture" for at in cuts} | {"middle.picture"}
    assert all(found.values()) and "not a picture" not in found[f"cut_{cuts[3]}.picture"]


def test_check_sums_of_a_png_are_looked_at(folder, forest):
    data = bytearray(packed(forest, "PNG"))
    data[len(data) // 2] ^= 1
    (folder / "flipped.png").write_bytes(data)
    whole = packed(forest, "PNG")
    (folder / "remark.png").write_bytes(whole[:33] + chunk(b"tEXt", b"Comment\0x")[:-1] + b"?" + whole[33:])
    (folder / "no_data.png").write_bytes(whole[:33] + chunk(b"IEND", b""))
    body = zlib.compress(b"\0" * 3000)
    (folder / "short.png").write_bytes(whole[:33] + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    found = reasons(folder)
    assert found.pop("flipped.png") == "damaged PNG (a check sum is wrong)"
    assert found.pop("no_data.png") == "damaged PNG (a chunk is missing)"
    assert set(found) == {"short.png"}  # and a wrong sum in a remark harms nobody


def test_a_packed_tiff_with_a_hole_is_named(folder, forest):
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        data = packed(forest, "TIFF", compression=compression)
        third = len(data) // 3
        (folder / f"{compression}.tif").write_bytes(data[:third] + bytes(third) + data[2 * third :])
    assert set(reasons(folder)) == {"tiff_lzw.tif", "tiff_adobe_deflate.tif"}


# --- pictures are told by their content ---


def test_a_picture_is_read_under_any_name(folder, forest):
    for name, kind in {"a.jfif": "JPEG", "b.jpe": "JPEG", "c.JPG": "JPEG", "d": "PNG", "e.dat": "WEBP", "f.jpg": "PNG",
                       "g.png": "JPEG", ".hidden.png": "PNG", "h.pgm": "PPM", "i.dib": "BMP", "j.csv": "GIF"}.items():
        (folder / name).write_bytes(packed(forest, kind))
    assert not reasons(folder) and len(load_dataset(folder, (3, 3, 3))) == 23


NO_PICTURES = {
    "1.HEIC": (b"\0\0\0\x18ftypheic", "HEIC"), "2.jxl": (b"\xff\x0a1234", "JPEG XL"), "3.psd": (b"8BPS", "Photoshop"),
    "4.svg": (b"<svg/>", "SVG"), "5.cr3": (b"\0\0\0\x18ftypcrx ", "camera raw"), "empty.jpg": (b"", "empty file"),
    "6.mp4": (b"\0\0\0\x18ftypisom", "video"), "7.jpg": (b"\0\0\0\x18ftypheic", "HEIC"), "notes.txt": (b"mist", "text"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0", "not a picture"), ".DS_Store": (b"\0\0\0\1Bud1", "not a picture"),
    "._8.jpg": (b"\0\5\x16\7\0\2", "notes of a Mac"), ".hidden/9.ico": (b"\0\0\1\0", "icon"),
    "page.jpg": (b"<!doctype html>", "HTML"),
}


def test_what_is_no_picture_is_counted_and_named(folder, tmp_path, capsys):
    (folder / ".hidden").mkdir()
    for name, (data, _) in NO_PICTURES.items():
        (folder / name).write_bytes(data)
    assert main(["images", "scan", str(folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "12 pictures scored, " in said and " 14 skipped" in said and "HEIC" in said
    skipped = pd.read_csv(tmp_path / "out" / "skipped.csv")
    found = dict(zip(skipped.path.map(os.path.basename), skipped.reason))
    assert len(found) == 14 and all(isinstance(reason, str) for reason in found.values())
    for name, (_, word) in NO_PICTURES.items():
        assert word in found[os.path.basename(name)], name


def test_a_folder_of_another_kind_alone_says_which_and_how_many(tmp_path, capsys):
    for number in range(3):
        (tmp_path / f"IMG_{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["images", "scan", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    expected = "'IMG_0.HEIC' and 2 more: a picture of a kind that cannot be read: HEIC"
    assert f"no usable picture among 3 files; {expected}" in capsys.readouterr().err
    with pytest.raises(InputError, match=expected):
        train_model(tmp_path, tmp_path / "m.npz")


def test_the_preview_of_a_camera_raw_file_is_not_its_picture(folder, forest):
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    (folder / "raw.dng").write_bytes(packed(forest, "TIFF", tiffinfo=tags))
    assert "camera raw" in reasons(folder)["raw.dng"]


def test_links_that_loop_and_shut_folders_are_named(folder, monkeypatch):
    (folder / "ring").symlink_to(folder)
    (folder / "self.png").symlink_to("self.png")
    (folder / "nowhere.png").symlink_to("absent.png")
    (folder / "again.png").symlink_to("good_00.png")
    (folder / "shut").mkdir()
    scandir = os.scandir

    def scandir_of_a_stranger(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_of_a_stranger)
    found = reasons(folder)
    assert set(found) == {"ring", "self.png", "nowhere.png", "shut"}
    assert "not followed" in found["ring"] and "may not be opened" in found["shut"]
    assert "symbolic links" in found["self.png"]


def test_names_that_are_no_text_reach_the_terminal_in_letters(folder, tmp_path, capsys):
    shutil.copy(folder / "good_00.png", os.fsencode(folder) + b"/\xff\xfe.png")
    (folder / "bell\a\x1b[31m.png").write_bytes(b"")
    assert main(["images", "scan", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert main(["images", "train", "-d", str(folder), "-m", str(tmp_path / "m.npz")]) == 0
    said = capsys.readouterr().out
    said.encode("ascii")
    assert "\\udcff" in said and "\x1b" not in said and "\a" not in said
    with pytest.raises(InputError, match="not the name of a file"):
        read_picture("zero\0inside.png")


@pytest.mark.parametrize("where", [".", "..", "scan"])
def test_a_scan_into_the_folder_of_the_pictures_or_above_sees_the_pictures(folder, where):
    for _ in range(2):
        table = scan_folder(folder, folder / where)
        assert len(table) == 12 and not len(table.attrs["skipped"])


# --- turned, deep, and many-coloured pictures ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(tmp_path, kind, orientation):
    corners = np.zeros((60, 80, 3), np.uint8)
    corners[:20, :20], corners[40:, 60:], corners[:20, 60:] = (0, 0, 255), (255, 0, 0), (0, 255, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned"
    path.write_bytes(packed(corners, kind, exif=exif))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))[:, :, ::-1]
    found = read_picture(path)
    assert found.shape == upright.shape and np.abs(found.astype(int) - upright).mean() < 6


# --- too large ---


def bomb(kind, width, height, forest):
    """A small file that says it is large."""
    if kind == "PNG":
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return packed(forest, "PNG")[:8] + head + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    if kind == "BMP":
        data = bytearray(packed(forest, "BMP"))
        data[18:26] = struct.pack("<ii", width, height)
        return bytes(data)
    data = bytearray(packed(forest, "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_a_bomb_is_named_with_its_size_the_limit_and_the_option(folder, forest, kind):
    (folder / "bomb").write_bytes(bomb(kind, 60_000, 60_000, forest))
    found = reasons(folder)
    assert "60000 x 60000 pixels; the limit is" in found["bomb"]
    with pytest.raises(InputError, match="60000 x 60000 pixels; the limit is 1,073,741,824"):
        read_picture(folder / "bomb", max_pixels=10**12)


def test_the_limit_of_pixels_holds_everywhere_and_can_be_moved(folder, tmp_path, forest, capsys):
    cv2.imwrite(str(folder / "large.png"), cv2.resize(forest, (300, 200)))
    model, out = str(tmp_path / "m.npz"), str(tmp_path / "out")
    for command in (["train", "-d", str(folder), "-m", model], ["scan", str(folder), "--out", out, "--model", model],
                    ["scan", str(folder), "--out", out]):
        assert main(["images", *command, "--max-pixels", "20000"]) == 0
        said = capsys.readouterr().out
        assert "large.png" in said and "300 x 200 pixels; the limit is 20,000 (max_pixels, --max-pixels)" in said
    assert main(["images", "scan", str(folder), "--out", out]) == 0  # larger ones come into the cache
    assert "13 pictures scored" in capsys.readouterr().out
    assert len(scan_folder(folder, out, max_pixels=20_000)) == 12  # and are refused all the same
    assert main(["images", "test", "-m", model, "-i", str(folder / "large.png"), "--max-pixels", "9"]) == 2
    assert "the limit is 9 " in capsys.readouterr().err
    for wrong in (0, -1, 1.5, "many", True, None):
        with pytest.raises(InputError, match="max_pixels"):
            ImageForest(max_pixels=wrong).fit(folder)
        with pytest.raises(InputError, match="max_pixels"):
            judge_picture(model, folder / "large.png", max_pixels=wrong)


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("no memory")])
def test_a_picture_that_does_not_fit_into_memory_is_named(folder, monkeypatch, error):
    if isinstance(error, cv2.error):
        error.code = cv2.Error.StsNoMem
    decode = cv2.imdecode

    def failing(data, flags):
        if len(data) == (folder / "good_03.png").stat().st_size:
            raise error
        return decode(data, flags)

    monkeypatch.setattr(cv2, "imdecode", failing)
    assert "not enough memory" in reasons(folder)["good_03.png"]


def test_the_sheet_shows_whole_names_and_the_endings_of_long_ones(folder, monkeypatch):
    shutil.copy(folder / "good_00.png", folder / ("long_" * 20 + "7.png"))
    written = []
    monkeypatch.setattr("oco2_outliers.pictures.drawing.write_label", lambda board, text, x, y: written.append(text))
    contact_sheet(ImageForest().fit(folder).result_table(folder))
    assert "good_03.png" in written
    assert any(text.startswith("long_") and text.endswith("7.png") and ".." in text for text in written)


def test_files_come_in_the_order_of_their_names(folder):
    assert list_files(folder) == sorted(str(path) for path in folder.iterdir())


# --- the head of a file, and the limits ---


def png_of(chunks):
    """A PNG of 8 x 8 grey pixels with more chunks before its data."""
    def chunk(name, data=b""):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    return head + chunks * chunk(b"teXt") + chunk(b"IDAT", zlib.compress(bytes(9) * 8)) + chunk(b"IEND")


def test_a_png_of_many_chunks_is_read_once():
    """A copy of the rest for each chunk would be 900 GB here."""
    data = png_of(400_000)
    assert len(data) > 4_000_000 and _png_head(data) == (8, 8, "grey")
    with pytest.raises(InputError, match="check sum"):
        _png_head(png_of(5)[:-5] + b"\0" * 5)


def test_the_brands_of_an_avif_are_read(tmp_path, forest):
    try:
        data = packed(forest, "AVIF", quality=90)
    except (KeyError, OSError):
        pytest.skip("this Pillow writes no AVIF; pictures/01a_kinds reads the brands from bytes")
    end = int.from_bytes(data[:4])
    for major, more, kind in ((b"mif1", b"", "AVIF"), (b"msf1", b"", "AVIF"), (b"mif1", b"heic", "AVIF"),
                              (b"heic", b"", "")):
        # The box keeps its length, or the places that stand further on would be wrong.
        box = data[:8] + major + data[12:16] + (more + data[16:end])[: end - 16]
        assert b"avif" in box[16:] and picture_kind(box) == kind
        (tmp_path / "a.jpg").write_bytes(box + data[end:])
        if kind:
            read = read_picture(tmp_path / "a.jpg")
            assert read.shape == forest.shape and np.abs(read.astype(int) - forest).mean() < 10
        else:
            with pytest.raises(InputError, match="HEIC"):
                read_picture(tmp_path / "a.jpg")
    for box in (b"\x14ftypmif1\0\0\0\0heic", b"\x14ftypmif1\0\0\0\0heicavif", b"\x10ftypmif1\0\0\0\0avif"):
        box = bytes(3) + box
        assert picture_kind(box) == ""  # what stands behind the box is no brand


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, float("nan"), "1e6", None, 10**30])
def test_one_rule_for_the_limit_of_pixels(folder, limit):
    said = []
    for call in (lambda: read_picture(folder / "good_00.png", max_pixels=limit),
                 lambda: ImageForest(max_pixels=limit).fit(folder)):
        with pytest.raises(InputError, match="max_pixels must be a whole number") as caught:
            call()
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_whole_numbers_of_any_type_are_limits(folder):
    for limit in (np.int32(20_000), 2e4, np.float64(20_000)):
        assert read_picture(folder / "good_00.png", max_pixels=limit).shape == (96, 128, 3)
        assert len(ImageForest(max_pixels=limit, n_jobs=1).fit(folder).skipped_) == 0
    with pytest.raises(InputError, match="the limit is 100 "):
        read_picture(folder / "good_00.png", max_pixels=100.0)


@pytest.mark.parametrize("gap", [np.nan, None, pd.NA, "", np.inf, 1e30])
def test_a_picture_of_unknown_size_is_shown(folder, gap, monkeypatch):
    assert limit_of_scored(gap, gap) in (MAX_PIXELS, 1 << 30) and limit_of_scored("20000", 10000) == 2 * MAX_PIXELS
    table = pd.DataFrame({"path": [str(folder / "good_00.png")], "score": [1.0], "outlier": [True],
                          "width": [gap], "height": [gap]}, dtype=object).astype({"score": float})
    sheet = contact_sheet(table, top=1, columns=1)
    assert (sheet != contact_sheet(table.assign(path="nothing.png"), top=1, columns=1)).any()
    notes = []
    assert packed_pictures(table, Pack(), 32, 1, folder, notes)["sheets"] and notes == []


def test_too_little_memory_is_told_in_one_sentence(folder, monkeypatch):
    import oco2_outliers.pictures.reading as reading

    def full(*args):
        error = cv2.error("no memory")
        error.code = cv2.Error.StsNoMem
        raise error

    monkeypatch.setattr(reading.cv2, "imdecode", full)
    with pytest.raises(MemoryError) as caught:
        read_picture(folder / "good_00.png")
    assert str(caught.value) == reasons(folder)["good_00.png"] and "--max-pixels" in str(caught.value)
