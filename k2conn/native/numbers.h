/* What a venue writes as text or JSON number, as a 64-bit integer. Each reader takes the everyday forms only and says
   0 for any other, which the Python converter then judges: a wrong "not mine" costs time, never a digit. */
#ifndef K2CONN_NUMBERS_H
#define K2CONN_NUMBERS_H

#include <Python.h>
#include <stdint.h>

#define LONGEST_NUMBER 40

/* An exact int (not a bool) that fits. */
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

/* One more decimal digit; 0 where there is no room for it. */
static inline int more_digits(int64_t *number, int digit)
{
    if (*number > (INT64_MAX - 9) / 10)
        return 0;
    *number = *number * 10 + digit;
    return 1;
}

/* Plain digits with at most one point and at most `scale` places, as the unscaled integer, 0 <= it < limit. */
static int decimal_digits(const char *text, Py_ssize_t size, int scale, int64_t limit, int64_t *found)
{
    int64_t number = 0;
    int places = -1, digits = 0;
    if (size > LONGEST_NUMBER)
        return 0;
    for (Py_ssize_t at = 0; at < size; at++) {
        if (text[at] == '.' && places < 0) {
            places = 0;
        } else if (text[at] >= '0' && text[at] <= '9') {
            digits++;
            if (places >= 0 && ++places > scale)
                return 0;
            if (!more_digits(&number, text[at] - '0'))
                return 0;
        } else {
            return 0;
        }
    }
    if (!digits)
        return 0;
    for (int at = places < 0 ? 0 : places; at < scale; at++)
        if (!more_digits(&number, 0))
            return 0;
    *found = number;
    return number < limit;
}

/* A number that is not negative, times `factor`, below `below`: an int, or its digits. */
static int whole_number(PyObject *value, int64_t factor, int64_t below, int64_t *found)
{
    int64_t number = 0;
    if (!exact_int(value, &number)) {
        Py_ssize_t size = 0;
        const char *text = ascii_text(value, &size);
        if (text == NULL || !size || !decimal_digits(text, size, 0, INT64_MAX, &number))
            return 0;
        for (Py_ssize_t at = 0; at < size; at++)
            if (text[at] == '.')
                return 0;
    }
    if (number < 0 || number > (below - 1) / factor)
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

/* "2026-01-02T03:04:05.678901Z", with one to twelve places or none, as microseconds since 1970, what is finer cut. */
static int utc_time(PyObject *value, int64_t *found)
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
    if (size > 20) {
        if (text[19] != '.' || size == 21)
            return 0;
        for (int at = 20; at < size - 1 || at < 26; at++) {
            int digit = at < size - 1 ? text[at] - '0' : 0;
            if (digit < 0 || digit > 9)
                return 0;
            if (at < 26)
                micros = micros * 10 + digit;
        }
    }
    int64_t seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    *found = seconds * 1000000 + micros;
    return 1;
}

#endif
