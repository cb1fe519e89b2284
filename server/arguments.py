"""Arguments of commands: bytes to numbers and options, exactly as strictly as Redis reads them.

What it is: the readers that commands share. Each either answers or raises CommandError with Redis's text.

What it is not: lenient. `int(b" +1_0 ")` is 10 in Python; here only the one canonical spelling of an integer is an
integer, so that what INCR accepts is what GET shows.
"""

import math
import re
from fractions import Fraction
from math import ceil

from tsunami_server.command import CommandError

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

NOT_INTEGER = "ERR value is not an integer or out of range"
NOT_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def int64(data: bytes) -> int | None:
    """string2ll: the canonical decimal form of a 64-bit integer, or None."""
    if not _INTEGER.fullmatch(data):
        return None
    value = int(data)
    return value if INT64_MIN <= value <= INT64_MAX else None


def integer(data: bytes, message: str = NOT_INTEGER) -> int:
    value = int64(data)
    if value is None:
        raise CommandError(message)
    return value


def int32(data: bytes) -> int:
    value = integer(data)
    if not INT32_MIN <= value <= INT32_MAX:
        raise CommandError(f"ERR value is out of range, value must between {INT32_MIN} and {INT32_MAX}")
    return value


def database(data: bytes, databases: int) -> int:
    index = int32(data)
    if not 0 <= index < databases:
        raise CommandError("ERR DB index is out of range")
    return index


def within(data: bytes, least: int, most: int, message: str | None = None) -> int:
    """An integer between two bounds. With a message, that is said of whatever is none."""
    value = integer(data, message or NOT_INTEGER)
    if not least <= value <= most:
        raise CommandError(message or f"ERR value is out of range, value must between {least} and {most}")
    return value


def positive(data: bytes, message: str = "ERR value is out of range, must be positive") -> int:
    """Not negative, as Redis means it."""
    return within(data, 0, INT64_MAX, message)


def timeout_ms(data: bytes) -> int:
    value = integer(data, "ERR timeout is not an integer or out of range")
    if value < 0:
        raise CommandError("ERR timeout is negative")
    return value


def timeout_s(data: bytes) -> float:
    """The time that a blocking command waits, in seconds, to the ms (upwards); 0: for ever."""
    try:
        ms = ceil(long_double(data) * 1000)
    except Infinite:
        ms = INT64_MIN if data.startswith(b"-") else INT64_MAX
    except CommandError:
        raise CommandError("ERR timeout is not a float or out of range") from None
    if ms < 0:
        raise CommandError("ERR timeout is negative")
    if ms >= INT64_MAX // 2:
        raise CommandError("ERR timeout is out of range")
    return ms / 1000


def expiry_ms(data: bytes, unit: int, now_ms: int, relative: bool, name: str) -> int:
    """A deadline in ms since 1970 for SET, SETEX, GETEX: it must be positive and must not overflow."""
    value = integer(data)
    error = CommandError(f"ERR invalid expire time in '{name}' command")
    if value <= 0 or value > INT64_MAX // unit:
        raise error
    value = value * unit + (now_ms if relative else 0)
    if value > INT64_MAX:
        raise error
    return value


# ---- doubles

_SPACES = b" \t\n\v\f\r"


def double(data: bytes, message: str = NOT_FLOAT) -> float:
    """strtod as Redis uses it for scores: the whole word, no spaces, no NaN, nothing that overflows or underflows."""
    value = _strtod(data)
    if value is None or (value in (math.inf, -math.inf) and not _INFINITE.fullmatch(data)) or _underflows(data, value):
        raise CommandError(message)
    return value


def bound(data: bytes, message: str) -> float:
    """strtod as Redis uses it for the ends of a range: an empty word is 0, spaces may stand before it, what
    overflows is infinite, and nobody looks behind a zero byte.
    """
    data = data.partition(b"\0")[0]
    value = _strtod(data.lstrip(_SPACES)) if data else 0.0
    if value is None:
        raise CommandError(message)
    return value


def _strtod(data: bytes) -> float | None:
    if _DECIMAL.fullmatch(data) or _INFINITE.fullmatch(data):
        return float(data)
    match = _HEX.fullmatch(data)
    if not match or not (match[2] or match[3]):
        return None
    try:
        return float.fromhex(data.decode())
    except OverflowError:
        return -math.inf if match[1] == b"-" else math.inf


def _underflows(data: bytes, value: float) -> bool:
    """Is it 0 although something else was written?"""
    digits = data.lower()
    mantissa = digits.partition(b"p")[0].replace(b"0x", b"") if b"x" in digits else digits.partition(b"e")[0]
    return value == 0 and bool(mantissa.strip(b"+-0."))


# ---- long doubles
# INCRBYFLOAT computes in the x87 format: 64 bits of precision, exponents up to 16383; its result is written with 17
# decimals. A rational number, rounded to 64 bits after each step, is the same thing.

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
_HEX = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?[0-9]+))?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_PRECISION = 64
_LARGEST = 16384  # values of 2**16384 and above are infinite
_SMALLEST = -16445  # values below 2**-16445 are zero
MAX_FLOAT_TEXT = 5 * 1024 - 1


class Infinite(ArithmeticError):
    """The value is beyond what a long double can hold."""


def round_long_double(value: Fraction) -> Fraction:
    """Round to 64 bits of precision, ties to even."""
    if not value:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - _PRECISION + 1, _SMALLEST)
    rounded = round(value / unit) * unit  # Fraction rounds half to even
    if abs(rounded) >= Fraction(2) ** _LARGEST:
        raise Infinite
    return rounded


def long_double(data: bytes) -> Fraction:
    """strtold as Redis uses it: the whole string, no spaces, no NaN; what overflows or underflows is no float."""
    if len(data) > MAX_FLOAT_TEXT:
        raise CommandError(NOT_FLOAT)
    if _INFINITE.fullmatch(data):
        raise Infinite
    value = _decimal(data)
    if value is None:
        value = _hexadecimal(data)
    if value is None:
        raise CommandError(NOT_FLOAT)
    try:
        rounded = round_long_double(value)
    except Infinite:
        raise CommandError(NOT_FLOAT) from None
    if value and not rounded:
        raise CommandError(NOT_FLOAT)
    return rounded


def _exponent_fits(exponent: bytes | None) -> bool:
    return exponent is None or abs(int(exponent)) <= 40_000


def _decimal(data: bytes) -> Fraction | None:
    match = _DECIMAL.fullmatch(data)
    if not match:
        return None
    if not _exponent_fits(match[1]):
        mantissa = Fraction(data[: data.lower().index(b"e")].decode())
        return mantissa if not mantissa else None
    return Fraction(data.decode().removesuffix(".")) if match[1] is None else _scientific(data)


def _scientific(data: bytes) -> Fraction:
    mantissa, _, exponent = data.decode().lower().partition("e")
    return Fraction(mantissa.removesuffix(".")) * Fraction(10) ** int(exponent)


def _hexadecimal(data: bytes) -> Fraction | None:
    match = _HEX.fullmatch(data)
    if not match:
        return None
    sign, whole, part, exponent = match[1], match[2], match[3] or b"", match[4]
    if not whole + part or not _exponent_fits(exponent):
        return None
    value = Fraction(int(whole + part, 16), 16 ** len(part)) * Fraction(2) ** int(exponent or 0)
    return -value if sign == b"-" else value


def format_long_double(value: Fraction) -> bytes:
    """`%.17Lf` without the zeros at its end; there is no `-0`."""
    scaled = round(value * 10**17)
    digits = str(abs(scaled)).rjust(18, "0")
    text = f"{digits[:-17]}.{digits[-17:]}".rstrip("0").rstrip(".")
    return f"{'-' if scaled < 0 else ''}{text}".encode()
