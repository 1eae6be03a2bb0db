"""Text of the pages can be read: its contrast with what lies below it, in both colour schemes."""

import re
from importlib.resources import files

import pytest

CSS = files("oco2_outliers").joinpath("static", "explorer.css").read_text("utf-8")


def schemes():
    """The colours of each scheme by name; what is dark by choice must equal what is dark by the system."""
    blocks = re.findall(r"\{([^{}]*--paper:[^{}]*)\}", CSS)
    light, by_system, by_choice = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks)
    assert by_system == by_choice
    return {"light": light, "dark": by_choice}


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_definition():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme):
    colours = schemes()[scheme]
    for ink in ("ink", "ink2", "focus", "error"):
        for ground in ("paper", "desk", "button"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["paper"], colours["pick"]) >= 4.5  # a pressed button


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_odd_stands_out(scheme):
    """Marks need 3 to 1 with what lies below them (WCAG 2, 1.4.11); ordinary rows may recede."""
    colours = schemes()[scheme]
    for mark in ("odd", "pick", "near", "shade", "focus"):
        for ground in ("paper", "sea"):
            assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground)


def test_kinds_stand_out_from_dark_paper():
    text = files("oco2_outliers").joinpath("static", "columns.js").read_text("utf-8")
    kinds = re.findall(r"#[0-9a-f]{6}", re.search(r"const KINDS = \[(.*)\]", text)[1])
    assert len(set(kinds)) == 8
    for kind in kinds:
        assert contrast(kind, schemes()["dark"]["paper"]) >= 3, kind
