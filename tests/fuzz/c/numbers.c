/* Decimals, whole numbers and times in text, against long arithmetic and the C library's calendar.
   Input: scale, digits of the limit; then the text. */
#include "harness.h"
#include <time.h>

#include "../../../k2conn/native/numbers.h"

#define PLACES 64

/* The unscaled number as decimal digits, by text alone: 1, or 0 where the text is none with so many places. */
static int spelled(const char *text, size_t size, int scale, char *digits)
{
    char whole[PLACES + 1], fraction[PLACES + 1];
    size_t wholes = 0, places = 0, points = 0;
    if (size > 40)
        return 0;
    for (size_t at = 0; at < size; at++) {
        if (text[at] == '.')
            points++;
        else if (strchr("0123456789", text[at]) == NULL || text[at] == 0)
            return 0;
        else if (points)
            fraction[places++] = text[at];
        else
            whole[wholes++] = text[at];
    }
    if (points > 1 || wholes + places == 0 || places > (size_t)scale)
        return 0;
    while (places < (size_t)scale)
        fraction[places++] = '0';
    char all[2 * PLACES + 2];
    memcpy(all, whole, wholes);
    memcpy(all + wholes, fraction, places);
    all[wholes + places] = 0;
    const char *first = all;
    while (*first == '0')
        first++;
    if (strlen(first) > MOST_DIGITS)
        return 0;
    strcpy(digits, first);
    return 1;
}

static void check_decimal(const char *text, size_t size, int scale, wide_int limit)
{
    wide_int number = 0;
    char wanted[2 * PLACES + 2] = "", found[PLACES] = "";
    int mine = decimal_digits(text, (Py_ssize_t)size, scale, limit, &number);
    if (!mine)
        return; /* it may always leave a number to the other reader */
    CHECK(spelled(text, size, scale, wanted));
    CHECK(number >= 0 && number < limit);
    size_t at = sizeof found - 1;
    for (; number > 0; number /= 10)
        found[--at] = (char)('0' + (int)(number % 10));
    CHECK(strcmp(found + at, wanted) == 0);
}

/* What is plain must not be left to the other reader: that would be slow, and nobody would notice. */
static void check_taken(const char *text, size_t size, int scale, wide_int limit)
{
    char digits[2 * PLACES + 2];
    wide_int number = 0;
    if (!spelled(text, size, scale, digits) || strlen(digits) + (size_t)scale > MOST_DIGITS)
        return;
    wide_int wanted = 0;
    for (const char *one = digits; *one; one++)
        wanted = wanted * 10 + (*one - '0');
    CHECK(wanted >= limit || decimal_digits(text, (Py_ssize_t)size, scale, limit, &number));
}

static void check_whole(PyObject *value, const char *text, size_t size)
{
    wide_int number = 0;
    if (!whole_number(value, 1000, 0, INT64_MAX / 1000, &number))
        return;
    CHECK(size > 0 && size <= 40 && memchr(text, '.', size) == NULL);
    unsigned __int128 wanted = 0;
    for (size_t at = 0; at < size; at++) {
        CHECK(text[at] >= '0' && text[at] <= '9');
        wanted = wanted * 10 + (unsigned)(text[at] - '0');
    }
    CHECK((wide_int)wanted * 1000 == number && number <= INT64_MAX);
}

static void check_time(PyObject *value, const char *text, size_t size)
{
    int64_t micros = 0;
    int nanos = 0;
    char whole[64], fraction[16] = "000000000000";
    if (!utc_time(value, &micros, &nanos))
        return;
    CHECK(size >= 20 && size < sizeof whole && text[size - 1] == 'Z');
    memcpy(whole, text, size);
    whole[size] = 0;
    struct tm parts = {0};
    char *rest = strptime(whole, "%Y-%m-%dT%H:%M:%S", &parts), again[32];
    CHECK(rest != NULL && rest - whole == 19);
    time_t seconds = timegm(&parts);
    struct tm back;
    CHECK(gmtime_r(&seconds, &back) != NULL && strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%S", &back) == 19);
    CHECK(memcmp(again, text, 19) == 0); /* a day that the calendar does not have would be another one */
    if (size > 20)
        memcpy(fraction, text + 20, size - 21);
    char beyond[4] = {fraction[6], fraction[7], fraction[8], 0};
    CHECK(nanos == atoi(beyond));
    fraction[6] = 0;
    CHECK(micros == (int64_t)seconds * 1000000 + atoi(fraction));
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    start_python();
    fill_powers();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int scale = data[0] % (MOST_DIGITS + 1);
    wide_int limit = ten_to[data[1] % (MOST_DIGITS + 1)];
    size_t length = size - 2;
    char *text = malloc(length ? length : 1); /* of its very size */
    memcpy(text, data + 2, length);
    check_decimal(text, length, scale, limit);
    check_taken(text, length, scale, limit);
    PyObject *value = PyUnicode_DecodeLatin1(text, (Py_ssize_t)length, NULL);
    CHECK(value != NULL);
    check_whole(value, text, length);
    check_time(value, text, length);
    wide_int number;
    int64_t plain;
    CHECK(!exact_wide(value, &number) && !exact_int(value, &plain)); /* text is no int */
    PyObject *large = _PyLong_FromByteArray((const unsigned char *)text, length, 1, 1);
    if (length && exact_wide(large, &number)) {
        PyObject *back = int_of(number);
        CHECK(back != NULL && PyObject_RichCompareBool(back, large, Py_EQ) == 1);
        Py_DECREF(back);
    } else
        CHECK(length == 0 || length > 16);
    CHECK(!PyErr_Occurred());
    Py_DECREF(large);
    Py_DECREF(value);
    free(text);
    return 0;
}
