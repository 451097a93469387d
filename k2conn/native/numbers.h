/* What a venue writes as text or JSON number, as an integer. Each reader takes the plain forms only and says
   0 for any other, which the Python converter then judges: a wrong "not mine" costs time, never a digit. */
#ifndef K2CONN_NUMBERS_H
#define K2CONN_NUMBERS_H

#include <Python.h>
#include <stdint.h>

#define LONGEST_NUMBER 40
#define SHORT_DIGITS 18 /* that every number of 64 bits can have */

/* Unscaled decimals: 128 bits hold all of Avro's, Iceberg's and SQL's 38 digits, where the compiler has such numbers. */
#ifdef __SIZEOF_INT128__
typedef __int128 wide_int;
#define MOST_DIGITS 38
#else
typedef int64_t wide_int;
#define MOST_DIGITS 18
#endif

static wide_int ten_to[MOST_DIGITS + 1];

static void fill_powers(void)
{
    ten_to[0] = 1;
    for (int at = 1; at <= MOST_DIGITS; at++)
        ten_to[at] = ten_to[at - 1] * 10;
}

static inline int is_long(wide_int number)
{
    return number >= INT64_MIN && number <= INT64_MAX;
}

/* An exact int (not a bool) that fits 64 bits. */
static inline int exact_int(PyObject *value, int64_t *found)
{
    if (!PyLong_CheckExact(value))
        return 0;
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    *found = (int64_t)number;
    return !overflow;
}

/* The characters of an ASCII str, or NULL. */
static inline const char *ascii_text(PyObject *value, Py_ssize_t *size)
{
    if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value))
        return NULL;
    *size = PyUnicode_GET_LENGTH(value);
    return (const char *)PyUnicode_1BYTE_DATA(value);
}

/* An exact int (not a bool) that fits an unscaled decimal. */
static inline int exact_wide(PyObject *value, wide_int *found)
{
    int64_t number;
    if (exact_int(value, &number)) {
        *found = number;
        return 1;
    }
#ifdef __SIZEOF_INT128__
    if (!PyLong_CheckExact(value))
        return 0;
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t size = PyLong_AsNativeBytes(value, found, sizeof *found, Py_ASNATIVEBYTES_NATIVE_ENDIAN);
    if (size >= 0 && size <= (Py_ssize_t)sizeof *found)
        return 1;
#else
    unsigned char bytes[sizeof *found];
    if (_PyLong_AsByteArray((PyLongObject *)value, bytes, sizeof bytes, PY_LITTLE_ENDIAN, 1) == 0) {
        memcpy(found, bytes, sizeof bytes);
        return 1;
    }
#endif
    PyErr_Clear(); /* too large: the Python way says so */
#endif
    return 0;
}

/* The int of an unscaled decimal; NULL with an exception set. */
static inline PyObject *int_of(wide_int number)
{
    if (is_long(number))
        return PyLong_FromLongLong((long long)number);
#ifdef __SIZEOF_INT128__
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(&number, sizeof number, Py_ASNATIVEBYTES_NATIVE_ENDIAN);
#else
    unsigned char bytes[sizeof number];
    memcpy(bytes, &number, sizeof bytes);
    return _PyLong_FromByteArray(bytes, sizeof bytes, PY_LITTLE_ENDIAN, 1);
#endif
#else
    return NULL; /* cannot be: every such number fits 64 bits */
#endif
}

/* Plain digits with at most one point and at most `scale` places, as the unscaled integer, 0 <= it < limit. */
static int decimal_digits(const char *text, Py_ssize_t size, int scale, wide_int limit, wide_int *found)
{
    wide_int upper = 0;         /* the digits before those in `part` */
    int64_t part = 0;
    int places = -1, digits = 0, counted = 0, in_part = 0;
    if (size > LONGEST_NUMBER)
        return 0;
    for (Py_ssize_t at = 0; at < size; at++) {
        if (text[at] == '.' && places < 0) {
            places = 0;
        } else if (text[at] >= '0' && text[at] <= '9') {
            digits++;
            if (places >= 0 && ++places > scale)
                return 0;
            if (!counted && text[at] == '0')
                continue; /* before the first digit that counts */
            if (++counted > MOST_DIGITS)
                return 0;
            if (in_part == SHORT_DIGITS) {
                upper = upper * ten_to[SHORT_DIGITS] + part;
                part = in_part = 0;
            }
            part = part * 10 + (text[at] - '0');
            in_part++;
        } else {
            return 0;
        }
    }
    int zeros = places < 0 ? scale : scale - places;
    if (!digits || counted + zeros > MOST_DIGITS)
        return 0;
    wide_int number = upper ? upper * ten_to[in_part] + part : part;
    *found = zeros ? number * ten_to[zeros] : number;
    return *found < limit;
}

/* The same with any number of places, of which those beyond `scale` are cut; where that is negative, of digits without
   a point as many at the end. */
static int cut_digits(const char *text, Py_ssize_t size, int scale, wide_int limit, wide_int *found)
{
    Py_ssize_t point = 0, end = size;
    if (size > LONGEST_NUMBER)
        return 0;
    while (point < size && text[point] != '.')
        point++;
    if (scale < 0) {
        wide_int whole;
        if (point < size || !decimal_digits(text, size, 0, ten_to[MOST_DIGITS], &whole))
            return 0;
        *found = whole / ten_to[-scale];
        return *found < limit;
    }
    if (size - point - 1 > scale) {
        end = point + 1 + scale;
        for (Py_ssize_t at = end; at < size; at++)
            if (text[at] < '0' || text[at] > '9')
                return 0;
    }
    return point > 0 && decimal_digits(text, end, scale, limit, found);
}

/* Plain digits with more than `scale` places, rounded half to even; not where nothing is lost. */
static int rounded_digits(const char *text, Py_ssize_t size, int scale, wide_int limit, wide_int *found)
{
    const char *point = size <= LONGEST_NUMBER ? memchr(text, '.', (size_t)size) : NULL;
    if (point == NULL || text + size - point - 1 <= scale || !cut_digits(text, size, scale, limit, found))
        return 0;
    const char *rest = point + 1 + scale, *end = text + size;
    while (end > rest && end[-1] == '0')
        end--;
    if (end == rest)
        return 0;
    *found += *rest > '5' || (*rest == '5' && (end - rest > 1 || *found % 2 != 0));
    return *found < limit;
}

/* A number times `factor`: an int from `fewest` (not negative) up to `most`, or its digits. */
static int whole_number(PyObject *value, wide_int factor, int64_t fewest, int64_t most, wide_int *found)
{
    int64_t number = 0;
    if (!exact_int(value, &number)) {
        Py_ssize_t size = 0;
        const char *text = ascii_text(value, &size);
        wide_int read = 0;
        if (text == NULL || !size || !decimal_digits(text, size, 0, INT64_MAX, &read))
            return 0;
        for (Py_ssize_t at = 0; at < size; at++)
            if (text[at] == '.')
                return 0;
        number = (int64_t)read;
    }
    if (number < fewest || number > most)
        return 0;
    *found = number * factor;
    return 1;
}

static inline int two_digits(const char *text, int *found)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return 0;
    *found = (text[0] - '0') * 10 + text[1] - '0';
    return 1;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_since_1970(int year, int month, int day)
{
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int leap_years = year - (month < 3); /* the last year whose leap day may have been */
    int64_t leap_days = leap_years / 4 - leap_years / 100 + leap_years / 400 - 477;
    return (int64_t)(year - 1970) * 365 + leap_days + before[month - 1] + day - 1;
}

static int days_of(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* "05.678901", with one to twelve places or none, as microseconds, what is finer cut. */
static int within_minute(const char *text, Py_ssize_t size, int64_t *found)
{
    int second;
    int64_t micros = 0;
    if (size < 2 || size > 15 || size == 3 || !two_digits(text, &second) || second > 59)
        return 0;
    if (size > 2 && text[2] != '.')
        return 0;
    for (int at = 3; at < size || at < 9; at++) {
        int digit = at < size ? text[at] - '0' : 0;
        if (digit < 0 || digit > 9)
            return 0;
        if (at < 9)
            micros = micros * 10 + digit;
    }
    *found = second * (int64_t)1000000 + micros;
    return 1;
}

/* "2026-01-02T03:04:05.678901Z", with one to twelve places or none, as microseconds since 1970, and the nanoseconds beyond
   them; what is finer is cut. */
static int utc_time(PyObject *value, int64_t *found, int *nanos)
{
    Py_ssize_t size = 0;
    const char *text = ascii_text(value, &size);
    int century, year, month, day, hour, minute, second;
    if (text == NULL || size < 20 || size > 33 || text[size - 1] != 'Z')
        return 0;
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
        return 0;
    if (!two_digits(text, &century) || !two_digits(text + 2, &year) || !two_digits(text + 5, &month)
        || !two_digits(text + 8, &day) || !two_digits(text + 11, &hour) || !two_digits(text + 14, &minute)
        || !two_digits(text + 17, &second))
        return 0;
    year += century * 100;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month)
        || hour > 23 || minute > 59 || second > 59)
        return 0;
    int64_t micros = 0;
    *nanos = 0;
    if (size > 20) {
        if (text[19] != '.' || size == 21)
            return 0;
        for (int at = 20; at < size - 1 || at < 29; at++) {
            int digit = at < size - 1 ? text[at] - '0' : 0;
            if (digit < 0 || digit > 9)
                return 0;
            if (at < 26)
                micros = micros * 10 + digit;
            else if (at < 29)
                *nanos = *nanos * 10 + digit;
        }
    }
    int64_t seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    *found = seconds * 1000000 + micros;
    return 1;
}

#endif
