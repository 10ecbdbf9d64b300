"""Numbers, their units, and how people write them."""

from fractions import Fraction

import pytest

from hf_rap.verify import judge
from hf_rap.verify.quantities import Quantity, read_quantity, read_ratio, split_unit
from hf_rap.verify.units import canonical_unit
from hf_rap.verify.words import read_time, same_time


@pytest.mark.parametrize(
    "text", ["3 or 5", "5x", "2 pi", "x", "", "1/0", "3, 5", "5!", "2 1", "1e9999", "5-", "1.234.567"]
)
def test_what_is_no_quantity_is_not_read_as_one(text):
    """A quantity is the whole text or nothing."""
    assert read_quantity(text) is None


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1,250.5 cm", Fraction(2501, 2), "cm"),
        ("12 345", 12345, ""),
        ("2 \\frac{1}{3}", Fraction(7, 3), ""),
        ("2/(-3)", Fraction(-2, 3), ""),
        ("3 x 10^8", 3 * 10**8, ""),
        ("10^{-3}", Fraction(1, 1000), ""),
        ("1.5e3", 1500, ""),
        ("5 million", 5 * 10**6, ""),
        ("$1,234.50", Fraction(2469, 2), "$"),
        ("5 squared", 25, ""),
        ("5 cm squared", 5, "cm^2"),
        ("2:3", Fraction(2, 3), ":"),
        ("9 (apples)", 9, "apple"),
        ("5 apples", 5, "apple"),
        ("12个", 12, "个"),
        ("12平方厘米", 12, "cm^2"),
        ("0.\\overline{3}", Fraction(1, 3), ""),
        ("0.1\\overline{6}", Fraction(1, 6), ""),
        ("0.\\dot{3}", Fraction(1, 3), ""),
        ("0.(27)", Fraction(3, 11), ""),
        ("0.333\\ldots", Fraction(1, 3), ""),
        ("45_8", 37, ""),
        ("1010_{2}", 10, ""),
        ("negative 5", -5, ""),
        ("-40 °F", -40, "°f"),
        ("5\\text{ m}".replace("\\text{ m}", "~ m"), 5, "m"),
    ],
)
def test_numbers_are_exact(text, value, unit):
    """Worked out by hand."""
    assert read_quantity(text) == Quantity(Fraction(value), unit)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("five", 5),
        ("twenty-three", 23),
        ("forty two", 42),
        ("one hundred and five", 105),
        ("three thousand", 3000),
        ("two hundred thousand", 200_000),
        ("one million two hundred thirty-four thousand five hundred sixty-seven", 1_234_567),
        ("a dozen", 12),
        ("half", Fraction(1, 2)),
        ("three quarters", Fraction(3, 4)),
        ("minus two thirds", Fraction(-2, 3)),
    ],
)
def test_number_words(text, value):
    """Beyond twenty, with fractions and signs."""
    assert read_quantity(text) == Quantity(Fraction(value))


@pytest.mark.parametrize(
    "text", ["two three", "twenty eleven", "third", "no one", "three point five", "89_8", "3.14159\\ldots"]
)
def test_what_only_looks_like_a_number(text):
    """Two numbers side by side, ordinals, digits that the base does not have, decimals that do not repeat."""
    assert read_quantity(text) is None


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("square feet", "ft^2"),
        ("sq. ft", "ft^2"),
        ("cm2", "cm^2"),
        ("cm^{2}", "cm^2"),
        ("平方米", "m^2"),
        ("立方厘米", "cm^3"),
        ("m s^{-1}", "m/s"),
        ("m/s^2", "m/s^2"),
        ("meters per second", "m/s"),
        ("kph", "km/h"),
        ("mph", "mi/h"),
        ("N·m", "m n"),
        ("Ω", "ohm"),
        ("\\Omega", "ohm"),
        ("kΩ", "kohm"),
        ("kilohms", "kohm"),
        ("μm", "um"),
        ("\\mu m", "um"),
        ("micrometers", "um"),
        ("°C", "°c"),
        ("degrees Celsius", "°c"),
        ("percentage points", "%"),
        ("dollars", "$"),
        ("square units", ""),
        ("千克", "kg"),
        ("minutes", "min"),
        ("inches", "in"),
    ],
)
def test_units_are_known_by_many_names(written, unit):
    """Each in one way to write it."""
    assert canonical_unit(written) == unit


@pytest.mark.parametrize("written", ["apples", "cats", "dots", "years old", "a.m.", "pages", "x"])
def test_what_is_counted_is_no_unit(written):
    """pint takes some of these for units of pressure and light."""
    assert canonical_unit(written) is None


def test_capital_prefixes_are_other_units():
    """5 MW is not 5 mW."""
    assert canonical_unit("MW") != canonical_unit("mW")
    assert canonical_unit("GB") == canonical_unit("gigabytes")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("5 cm", "5", True),
        ("5 cm", "5 m", False),
        ("5 m", "500 cm", False),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("50%", "5", False),
        ("1/3", "0.333333", True),
        ("1/3", "0.3333", False),
        ("1/3", "0.333334", False),
        ("0.3", "0.30000000000000004", True),
        ("0.3", "0.3000001", False),
        ("0.0000001", "0.0000002", False),
        ("1/12", "0.0833333333333333", True),
        ("1:2", "1", False),
        ("1:2", "2", False),
        ("2:3", "4:6", True),
        ("2:3", "2/3", True),
        ("45_8", "45", False),
        ("5 apples", "5 pears", False),
    ],
)
def test_quantities_agree_by_value_and_unit(left, right, same):
    """Exactly, but for six digits where only one is a decimal; either way round."""
    left, right = read_quantity(left), read_quantity(right)
    assert left.equals(right) is same
    assert right.equals(left) is same


def test_ratios_of_three():
    """In lowest terms, in order."""
    assert read_ratio("6:4:2") == read_ratio("3:2:1") != read_ratio("1:2:3")
    assert read_ratio("3:2") is None
    assert judge("\\boxed{6:4:2}", "3:2:1").reward == 1.0


def test_letters_may_be_variables():
    """In a gold, 8m is a product; upright text or a space makes a unit of it."""
    assert read_quantity("8m") == Quantity(Fraction(8), "m")
    assert read_quantity("8m", letters_are_units=False) is None
    assert read_quantity("8 m", letters_are_units=False) == Quantity(Fraction(8), "m")
    assert split_unit("2\\pi cm") == ("2\\pi", "cm")
    assert split_unit("2\\sqrt{3} m") == ("2\\sqrt{3} m", "")
    assert split_unit("9\\pi square cm") == ("9\\pi", "cm^2")
    assert split_unit("2\\sqrt{3} 平方厘米") == ("2\\sqrt{3}", "cm^2")
    assert [read_quantity(text) for text in ("2n-1", "5t^2", "1960s")] == [None] * 3
    assert read_quantity("5m^2") == Quantity(Fraction(5), "m^2")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("8:00 AM", "08:00", True),
        ("8:00", "8:00 PM", True),
        ("2:45 p.m", "14:45", True),
        ("3pm", "3:00 PM", True),
        ("2:45 PM", "2:45 AM", False),
        ("12:00 AM", "12:00 PM", False),
        ("half past ten", "10:30", True),
        ("quarter to three", "2:45", True),
        ("5 o'clock", "5:00", True),
        ("9:15", "9:30", False),
    ],
)
def test_times_of_the_day(left, right, same):
    """Where both say which half of the day, it counts."""
    assert same_time(left, right) is same
    assert same_time(right, left) is same


@pytest.mark.parametrize("text", ["2", "25:00", "10:75", "13 PM", "half past", "half past thirteen", "2:3"])
def test_what_is_no_time(text):
    """A number alone, or hours and minutes that no clock shows."""
    assert read_time(text) is None


def test_a_number_in_braces_keeps_its_unit():
    """As templates of prompts lead to: "{5} cm"."""
    texts = ("{5}\\text{ cm}", "{5.0}~\\mathrm{cm}", "{5}\\text{ m}", "{6}\\text{ cm}")
    assert [judge(f"\\boxed{{{text}}}", "5 cm").reward for text in texts] == [1.0, 1.0, 0.0, 0.0]
