"""The text of a snapshot: the forms that are read, and the line that is named when one is not."""

import numpy as np
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.snapshot_text import parse_snapshot

SAMPLES = [[-0.049, 1.0], [0.5, -2e-3], [0.1, 3.0]]


@pytest.mark.parametrize(
    "text",
    [
        "-0.049\t1\n0.5\t-2e-3\n.1\t3\n",
        "-0.049\t1.000\r\n0.500\t-0.002\r\n0.100\t3.000\r\n",
        "-0.049 1\n0.5 -0.002\n0.1 3",
        "  -0.049    1.0  \n   0.500   -0.002\t\n   0.100    3.0\n\n \n",
        "  -0.049    1.0  \r\n   0.500   -0.002\r\n \t0.100    3.0 \r\n",
        "-0.049,1\n0.5,-0.002\n0.1,3\n",
        "-0.049, 1\n0.5 , -0.002 \n0.1, +3.\n",
        "\ufeff-0.049\t1\n0.5\t-0.002\n0.1\t3\n",
    ],
)
def test_blanks_tabs_commas_and_line_ends_do_not_matter(text):
    assert parse_snapshot(text.encode()).tolist() == SAMPLES
    assert parse_snapshot(text.encode(), 2).tolist() == SAMPLES


def test_one_column_is_one_sensor():
    assert parse_snapshot(b"1\n2\n").tolist() == [[1], [2]]


def test_numbers_are_exactly_those_in_the_text():
    rows = np.random.default_rng(1).standard_normal((1000, 3)).tolist()
    assert parse_snapshot("\n".join(" ".join(map(repr, row)) for row in rows).encode()).tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty: deliver it again"),
        (" \r\n\n", "it is empty: deliver it again"),
        ("1 2\n3\n5 6\n", "line 2 has 1 column where 2 must be: deliver it again, or remove it"),
        ("1 2\n3 4 5\n5 6\n", "line 2 has 3 columns where 2 must be"),
        ("1 2\n\n5 6\n", "line 2 has 0 columns where 2 must be"),
        ("\n1 2\n5 6\n", "line 1 has 0 columns"),
        ("1\n\n5\n", "line 2 has 0 columns where 1 must be"),
        ("1 2\n3 4\n5", "line 3, the last, has 1 column where 2 must be"),
        ("1 2\n3 4\n5 -", "line 3, the last, holds '-', which is no number"),
        ("a b\n1 2\n", "line 1 holds 'a', which is no number"),
        ("1 2\n3 four\n", "line 2, the last, holds 'four', which is no number"),
        ("1,2\n3,\n5,6\n", "line 2 holds '', which is no number"),
        ("1\t2\n3\t0,5\n", "line 2, the last, holds '0,5', which is no number with a decimal point"),
        ('"1" 2\n3 4\n', "line 1 holds '\"1\"', which is no number"),
        ("1 2\n3 " + "x" * 99 + "\n", f"line 2, the last, holds '{'x' * 30}', which"),
        ("1 2\n3 nan\n5 6\n", "line 2, column 2 is nan, but must be a number within"),
        ("1 2\n3 NA\n", "line 2, the last, holds 'NA', which is no number"),
        ("1 -inf\n3 4\n", "line 1, column 2 is -inf, but must be"),
        ("1 2\n3 1e400\n", "line 2, column 2 is inf, but must be"),
        ("1 2\n1e61 4\n", r"line 2, column 1 is 1e\+61, but must be a number within ±1e\+60"),
        ("1 2\n3 1_0\n", "line 2, the last, holds '1_0', which is no number"),
        ("1 2\n3 \v4\n", r"line 2, the last, holds '\\x0b4', which is no number"),
    ],
)
def test_the_first_line_at_fault_is_named(text, message):
    with pytest.raises(ReadingsError, match=message):
        parse_snapshot(text.encode())


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ReadingsError, match=r"line 2, the last, holds '\\x00\\x00\\x00', which is no number"):
        parse_snapshot(b"1 2\n3 \0\0\0\n")
    with pytest.raises(ReadingsError, match="line 2 holds '\ufffd3', which is no number"):
        parse_snapshot(b"1 2\n\xff3 4\n5 6\n")


def test_the_number_of_sensors_can_be_given():
    with pytest.raises(ReadingsError, match="line 1 has 2 columns where 3 must be"):
        parse_snapshot(b"1 2\n3 4\n", 3)


def test_every_cut_of_a_text_is_refused_or_loses_samples_only():
    text = "\n".join("-0.125 0.25 1.5" for _ in range(4)).encode() + b"\n"
    for length in range(len(text)):
        try:
            samples = parse_snapshot(text[:length], 3)
        except ReadingsError:
            continue
        assert samples[:-1].tolist() == [[-0.125, 0.25, 1.5]] * (len(samples) - 1)
        assert samples[-1, :2].tolist() == [-0.125, 0.25]
