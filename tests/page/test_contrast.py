"""Text of the pages can be read: its contrast with what lies below it, in both colour schemes."""

import itertools
import re
from importlib.resources import files

import numpy as np
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


KINDS = re.findall(r"#[0-9a-f]{6}", re.search(r"const KINDS = \[(.*)\]", files("oco2_outliers").joinpath(
    "static", "columns.js").read_text("utf-8"))[1])
# What is seen of linear red, green and blue: by all, and without cones for red or green (Machado and others, 2009).
EYES = {"all": np.eye(3),
        "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
        "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]])}


def test_kinds_stand_out_from_paper():
    """Orange and sky blue of Okabe and Ito are the palest on white paper: their marks are whole, and large enough."""
    assert len(set(KINDS)) == 8
    for kind in KINDS:
        assert contrast(kind, schemes()["dark"]["paper"]) >= 3, kind
        assert contrast(kind, schemes()["light"]["paper"]) >= 2.2, kind


def seen(colour, eyes):
    """A colour as L*, a* and b* of CIE 1976."""
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    whole = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    part = np.cbrt(whole @ np.clip(eyes @ linear, 0, 1) / whole.sum(axis=1))
    return np.array([116 * part[1] - 16, 500 * (part[0] - part[1]), 200 * (part[1] - part[2])])


@pytest.mark.parametrize("eyes", EYES)
def test_two_kinds_can_be_told_apart_by_everybody(eyes):
    for a, b in itertools.combinations(KINDS, 2):
        assert np.linalg.norm(seen(a, EYES[eyes]) - seen(b, EYES[eyes])) > 12, (a, b)
