/* The values of one record: where each is read, and what of it C reads itself.

   A *source* is one value. Its place is some plain paths into what JSON has become (paths.h), or a compiled expression
   finds it, or it is put together of texts (JOINED, a JOINED_TIME in a local time), or it was given by the caller (GIVEN: a
   field that keeps its last value), or only Python knows how to read it (BY_PYTHON). What stands at a place is converted here where it has an everyday form:
   digits, whole numbers, times in UTC, names in a table, texts, lists of texts (numbers.h has the readers, FastConversion
   in k2conn/plan says what each kind means).

   Whatever is not everyday is Python's, value by value, never for the whole record at once: first the source's quick
   converter is asked (`call`, of the value), where that raises one of the errors that mean "not mine" its full reader
   (`read`, of item and scope), as the general mapper does. What they return is a value like any other. What the full reader
   raises ends the record here: the general mapper meets it again and says it, with its place.

   References: a place's value is borrowed for as long as `Given` lives (nothing here lets go of the item, and the scope's
   attributes are held in `Given.roots`); Value.object is owned; all of Source is owned by the program that it is part of.
   Bounds: paths and their steps (paths.h), PARTS of a text of at most LONGEST bytes. */
#ifndef K2CONN_SOURCES_H
#define K2CONN_SOURCES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "buffer.h"
#include "numbers.h"
#include "json_paths.h"
#include "paths.h"

enum {
    BY_PYTHON, DECIMAL, WHOLE, TIME, NAMED, TEXT, RECEIVED, JOINED, JOINED_TIME, MAGNITUDE, SIGNED, SIGN, CUT, LISTED, GIVEN,
    NANOS, RECEIPT, HOWS
}; /* how a value is found */

#define PARTS 16    /* of a text that is put together */
#define MINUTE 17   /* characters of a time up to its minute, with the colon behind it */
#define LONGEST 120 /* bytes of such a text; a longer one is Python's */

typedef struct {
    PyObject *key;    /* of the item, whose value is a part, or is cut */
    PyObject *cuts;   /* a dict: from the value to a tuple of the texts cut of it; NULL where the value itself is the part */
    PyObject *given;  /* a text; or, with neither key nor given, it is the scope's: */
    PyObject *name;
    int at;           /* which of the texts cut */
} Part;

typedef struct {
    int count;
    Part parts[PARTS];
    PyObject *minutes; /* a dict: the microseconds since 1970 of a local time's first 17 characters */
} Text;

typedef struct {
    Place place;      /* where the value is; if nowhere, `get` finds it: */
    PyObject *get;    /* a compiled expression, of item and scope; if NULL, `read` does all */
    PyObject *call;   /* the quick Python converter of what is there; NULL where the reader is to be asked at once */
    PyObject *read;   /* the full Python reader, of item and scope */
    int given;        /* GIVEN: which of the caller's values */
    PyObject *table;  /* NAMED: value to name; SIGN: True and False to the names of what is above and below zero; DECIMAL: NULL,
                         or (name, note): what has too many places is rounded, and its text noted; RECEIPT, and WHOLE, TIME and
                         CUT where the time of receipt stands for one that is missing: the note that says so */
    int how, scale;
    int in_text;      /* whether the value can be read where the item is text */
    wide_int factor, below, least;
    int64_t fewest;   /* the smallest int that is, times `factor`, no less than what is plausible */
    int64_t most;     /* the largest int that is below `below` times `factor` */
    Text *text;       /* JOINED, JOINED_TIME */
} Source;
typedef struct {
    wide_int number;
    PyObject *object; /* owned; NULL where `number` is the value */
} Value;

static PyObject *notes, *rounded, *word_received; /* the first two are attributes of the scope */

/* Takes over what Python made: NULL is an exception. 0, or -1 with an exception set. */
static int take_made(PyObject *made, Value *found)
{
    if (made == NULL)
        return -1;
    if (exact_wide(made, &found->number))
        Py_DECREF(made);
    else
        found->object = made;
    return 0;
}

/* What Python makes of it: the quick converter, or else the full reader. 0, or -1 with an exception set. */
static int ask(const Source *source, PyObject *value, Given *given, Value *found)
{
    if (source->call != NULL && (source->place.count || source->get != NULL)) {
        PyObject *made = PyObject_CallOneArg(source->call, value != NULL ? value : Py_None);
        if (made != NULL || !PyErr_ExceptionMatches(given->odd))
            return take_made(made, found);
        PyErr_Clear();
    }
    given->asked = 1;
    return take_made(PyObject_CallFunctionObjArgs(source->read, given->item, given->scope, NULL), found);
}

/* The caller's value. 0, or -1 with an exception set. */
static int take_given(const Source *source, const Given *given, Value *found)
{
    if (given->json != NULL && given->values != NULL && PyList_CheckExact(given->values)
        && source->given < PyList_GET_SIZE(given->values))
        return take_made(Py_NewRef(PyList_GET_ITEM(given->values, source->given)), found);
    PyObject *pair = given->values != NULL && PyTuple_CheckExact(given->values)
                             && source->given < PyTuple_GET_SIZE(given->values)
                         ? PyTuple_GET_ITEM(given->values, source->given) : NULL;
    if (pair != NULL && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2)
        return take_made(Py_NewRef(PyTuple_GET_ITEM(pair, 1)), found);
    PyErr_SetString(PyExc_SystemError, "fewer values are given than the records have");
    return -1;
}

/* What plain digits say, with or without a sign before them. */
static int digits_of(const Source *source, const char *text, Py_ssize_t size, wide_int *found)
{
    if (source->how == CUT)
        return cut_digits(text, size, source->scale, source->below, found) && *found >= source->least;
    int signed_ones = source->how != DECIMAL, negative = signed_ones && size > 0 && text[0] == '-';
    if (!decimal_digits(text + negative, size - negative, source->scale, source->below, found))
        return 0;
    if (negative && source->how != MAGNITUDE)
        *found = -*found;
    return 1;
}

/* What a whole number says, if it is not too large. */
static int scaled_int(const Source *source, int64_t number, wide_int *found)
{
    int negative = number < 0;
    if ((negative && (source->how == DECIMAL || source->how == CUT)) || number == INT64_MIN)
        return 0;
    if (source->how == CUT && source->scale < 0) {
        *found = number / (int64_t)ten_to[-source->scale];
        return *found >= source->least && *found < source->below;
    }
    if (negative)
        number = -number;
    if (number > source->most)
        return 0;
    *found = number * source->factor;
    if (source->how == CUT && *found < source->least)
        return 0;
    if (negative && source->how != MAGNITUDE)
        *found = -*found;
    return 1;
}

/* The scaled integer of a decimal text, an int, or a Decimal that is written without exponent. */
static int unscaled(const Source *source, PyObject *value, wide_int *found)
{
    Py_ssize_t size = 0;
    int64_t number;
    const char *text = ascii_text(value, &size);
    if (text != NULL)
        return digits_of(source, text, size, found);
    if (exact_int(value, &number))
        return scaled_int(source, number, found);
    if ((PyObject *)Py_TYPE(value) != decimal_type)
        return 0;
    PyObject *digits = PyObject_Str(value);
    if (digits == NULL) {
        PyErr_Clear(); /* the converter meets the same, and says it */
        return 0;
    }
    text = ascii_text(digits, &size);
    int mine = text != NULL && digits_of(source, text, size, found);
    Py_DECREF(digits);
    return mine;
}

/* The name that stands for a text, a truth value, or a whole number's digits; borrowed. NULL where there is none, or
   with an exception set. */
static PyObject *name_for(PyObject *table, PyObject *value)
{
    int64_t number;
    if (PyUnicode_CheckExact(value) || PyBool_Check(value))
        return PyDict_GetItemWithError(table, value);
    if (!exact_int(value, &number))
        return NULL;
    char digits[20];
    PyObject *text = PyUnicode_DecodeASCII(digits, number_text(number, digits), NULL);
    PyObject *name = text != NULL ? PyDict_GetItemWithError(table, text) : NULL;
    Py_XDECREF(text);
    return name;
}

/* What a member of an item is that is text, a new reference; NULL where there is none, or with an exception set. */
static PyObject *member_of_text(const Given *given, PyObject *key)
{
    int at = given->json->nodes[given->node].kind != JSON_DICT ? NOWHERE
             : json_member(given->json, given->node, (const char *)PyUnicode_1BYTE_DATA(key), PyUnicode_GET_LENGTH(key));
    return at != NOWHERE && given->json->nodes[at].kind < JSON_LIST ? object_of(given, at) : NULL;
}

/* A text put together. 1 made, 0 not plain, -1 with an exception set. */
static int joined(const Text *text, const Given *given, char *out, Py_ssize_t *used)
{
    *used = 0;
    for (const Part *part = text->parts; part < text->parts + text->count; part++) {
        PyObject *value = part->given, *attribute = NULL; /* the latter owned */
        if (part->key != NULL) {
            if (given->json != NULL)
                value = attribute = member_of_text(given, part->key);
            else
                value = PyDict_CheckExact(given->item) ? PyDict_GetItemWithError(given->item, part->key) : NULL;
            if (value != NULL && part->cuts != NULL) {
                value = PyUnicode_CheckExact(value) ? PyDict_GetItemWithError(part->cuts, value) : NULL;
                value = value != NULL && PyTuple_CheckExact(value) && part->at < PyTuple_GET_SIZE(value)
                          ? PyTuple_GET_ITEM(value, part->at) : NULL;
            }
            if (value == NULL) {
                Py_XDECREF(attribute);
                return PyErr_Occurred() ? -1 : 0;
            }
        } else if (value == NULL) {
            value = attribute = PyObject_GetAttr(given->scope, part->name);
            if (value == NULL)
                return -1;
        }
        char digits[20];
        const char *bytes = digits;
        Py_ssize_t size = 0;
        int64_t number;
        if (PyUnicode_CheckExact(value))
            bytes = ascii_text(value, &size);
        else if (exact_int(value, &number))
            size = number_text(number, digits);
        else
            bytes = NULL;
        int fits = bytes != NULL && size > 0 && *used + size <= LONGEST;
        if (fits)
            memcpy(out + *used, bytes, (size_t)size);
        Py_XDECREF(attribute);
        if (!fits)
            return 0;
        *used += size;
    }
    return 1;
}

/* What a dict of whole numbers has for a text. 1 found, 0 not, -1 with an exception set. */
static int known_number(PyObject *table, const char *text, Py_ssize_t size, int64_t *found)
{
    PyObject *key = PyUnicode_DecodeASCII(text, size, NULL);
    if (key == NULL)
        return -1;
    PyObject *value = PyDict_GetItemWithError(table, key);
    Py_DECREF(key);
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return exact_int(value, found);
}

/* A text put together, or the time that one says. 1 made, 0 where Python is to be asked, -1 with an exception set. */
static int take_joined(const Source *source, const Given *given, Value *found)
{
    char bytes[LONGEST];
    Py_ssize_t size;
    int done = joined(source->text, given, bytes, &size);
    if (done != 1)
        return done;
    if (source->how == JOINED) {
        found->object = PyUnicode_DecodeASCII(bytes, size, NULL);
        return found->object == NULL ? -1 : 1;
    }
    int64_t start, within;
    if (size <= MINUTE || !within_minute(bytes + MINUTE, size - MINUTE, &within))
        return 0;
    done = known_number(source->text->minutes, bytes, MINUTE, &start);
    if (done == 1)
        found->number = start + within;
    return done;
}

static int is_text_list(PyObject *value)
{
    if (!PyList_CheckExact(value))
        return 0;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(value); at++)
        if (!PyUnicode_CheckExact(PyList_GET_ITEM(value, at)))
            return 0;
    return 1;
}

/* What stands at the place of a source, where it has an everyday form. 1 read, 0 where Python is to be asked, -1 with an
   exception set. */
static int take_plain(const Source *source, PyObject *value, Value *found)
{
    int64_t number;
    int nanos;
    PyObject *name = NULL;
    switch (source->how) {
    case DECIMAL:
    case MAGNITUDE:
    case SIGNED:
    case CUT:
        return unscaled(source, value, &found->number);
    case SIGN:
        if (!unscaled(source, value, &found->number) || found->number == 0)
            return 0;
        name = PyDict_GetItemWithError(source->table, found->number > 0 ? Py_True : Py_False);
        if (name == NULL)
            return -1; /* it was there */
        break;
    case WHOLE:
        return whole_number(value, source->factor, source->fewest, source->most, &found->number);
    case TIME:
    case NANOS:
        if (!utc_time(value, &number, &nanos))
            return 0;
        found->number = source->how == TIME ? number : nanos;
        return 1;
    case TEXT:
        if (exact_int(value, &number)) {
            found->number = number;
            return 1;
        }
        name = PyUnicode_CheckExact(value) && PyUnicode_GET_LENGTH(value) ? value : NULL;
        break;
    case LISTED:
        name = is_text_list(value) ? value : NULL;
        break;
    case NAMED:
        name = name_for(source->table, value);
        if (name == NULL && PyErr_Occurred())
            return -1;
        break;
    }
    found->object = name != NULL ? Py_NewRef(name) : NULL;
    return name != NULL;
}

/* A number that is rounded, as `compiler.converters.readers.rounding` does it: the scope is told which one, and its text.
   1 rounded, 0 where Python is to be asked, -1 with an exception set. */
static int take_rounded(const Source *source, PyObject *value, Given *given, Value *found)
{
    Py_ssize_t size = 0;
    const char *text = ascii_text(value, &size);
    if (text == NULL || !rounded_digits(text, size, source->scale, source->below, &found->number))
        return 0;
    given->asked = 1; /* there are notes */
    PyObject *noted = PyObject_GetAttr(given->scope, notes);
    PyObject *what = PyTuple_Pack(2, PyTuple_GET_ITEM(source->table, 0), value);
    int done = noted == NULL || what == NULL || PyObject_SetItem(noted, PyTuple_GET_ITEM(source->table, 1), value) < 0
               || PyObject_SetAttr(given->scope, rounded, what) < 0 ? -1 : 1;
    Py_XDECREF(noted);
    Py_XDECREF(what);
    return done;
}

/* What is there to be read: borrowed from its place, NULL where nothing stands there; or owned, where an expression finds it.
   0, or -1 with an exception set. */
static int find_value(const Source *source, Given *given, PyObject **value)
{
    PyObject *const arguments[] = {given->item, given->scope};
    *value = source->get != NULL ? PyObject_Vectorcall(source->get, arguments, 2, NULL)
             : source->place.count ? at_place(&source->place, given) : NULL;
    return *value == NULL && PyErr_Occurred() ? -1 : 0;
}

/* The time of receipt, for a time that an item does not say: noted. 0, or -1 with an exception set. */
static int take_receipt(const Source *source, Given *given, Value *found)
{
    PyObject *moment = PyObject_GetAttr(given->scope, root_names[RECEIVED_AT]), *noted = PyObject_GetAttr(given->scope, notes);
    given->asked = 1; /* there are notes */
    int done = moment == NULL || noted == NULL || !exact_wide(moment, &found->number)
                       || PyObject_SetItem(noted, source->table, word_received) < 0 ? -1 : 0;
    if (done < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a time of receipt is a whole number");
    Py_XDECREF(moment);
    Py_XDECREF(noted);
    return done;
}

/* Whether a value is none, or an empty text. */
static int is_missing(PyObject *value)
{
    return value == NULL || value == Py_None || (PyUnicode_CheckExact(value) && PyUnicode_GET_LENGTH(value) == 0);
}

static inline int may_be_receipt(const Source *source)
{
    return source->table != NULL && (source->how == WHOLE || source->how == TIME || source->how == CUT);
}

/* A number as it stands in a text. 1 read, 0 where it has no everyday form. */
static int number_in_text(const Source *source, const JsonText *json, const JsonNode *node, wide_int *found)
{
    if (source->how == WHOLE) {
        int64_t number = node->kind == JSON_INT ? json_int(json, node) : -1;
        *found = number * source->factor;
        return node->kind == JSON_INT && number >= source->fewest && number <= source->most;
    }
    if (source->how != DECIMAL && source->how != MAGNITUDE && source->how != SIGNED && source->how != CUT)
        return 0;
    if (node->kind == JSON_INT)
        return scaled_int(source, json_int(json, node), found);
    int digits = node->kind == JSON_FRACTION || (node->kind == JSON_STRING && !node->wide);
    return digits && digits_of(source, json->text + node->start, node->size, found);
}

/* The value of a source whose item is text that nobody has read. 1 read, 0 where only the full reader knows it, which needs
   the item as an object; -1 with an exception set. */
static int take_of_text(const Source *source, Given *given, Value *found)
{
    if (source->how == RECEIVED) {
        found->number = given->moment;
        return 1;
    }
    if (source->text != NULL)
        return take_joined(source, given, found);
    int node = node_at(&source->place, given);
    if (node != NOWHERE && number_in_text(source, given->json, given->json->nodes + node, &found->number))
        return 1;
    PyObject *value = node != NOWHERE ? object_of(given, node) : Py_NewRef(Py_None);
    int done = value == NULL ? -1 : node != NOWHERE ? take_plain(source, value, found) : 0;
    if (done == 0 && may_be_receipt(source) && is_missing(value))
        done = take_receipt(source, given, found) < 0 ? -1 : 1;
    PyObject *made = done == 0 && source->call != NULL ? PyObject_CallOneArg(source->call, value) : NULL;
    Py_XDECREF(value);
    if (made != NULL)
        return take_made(made, found) < 0 ? -1 : 1;
    if (done == 0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(given->odd))
            return -1;
        PyErr_Clear();
    }
    return done;
}

/* The value of one source. 0, or -1 with an exception set (or as `open_item` has it). */
static int take(const Source *source, Given *given, Value *found)
{
    PyObject *value = NULL;
    found->object = NULL;
    if (source->how == RECEIPT)
        return take_receipt(source, given, found);
    if (given->json != NULL && source->in_text) {
        int done = take_of_text(source, given, found);
        if (done != 0)
            return done < 0 ? -1 : 0;
    }
    if (source->how == GIVEN)
        return take_given(source, given, found);
    if (open_item(given) < 0)
        return -1;
    if (source->how == RECEIVED) {
        PyObject *moment = at_place(&source->place, given);
        if (moment == NULL)
            return -1;
        int fits = exact_wide(moment, &found->number) && is_long(found->number);
        if (!fits)
            PyErr_SetString(PyExc_ValueError, "a time of receipt is a whole number");
        return fits ? 0 : -1;
    }
    if (source->text != NULL && given->json == NULL) {
        int done = take_joined(source, given, found);
        if (done != 0)
            return done < 0 ? -1 : 0;
    }
    if (find_value(source, given, &value) < 0)
        return -1;
    int done = value != NULL ? take_plain(source, value, found) : 0;
    if (done == 0 && value != NULL && source->how == DECIMAL && source->table != NULL)
        done = take_rounded(source, value, given, found);
    if (done == 0 && may_be_receipt(source) && is_missing(value))
        done = take_receipt(source, given, found) < 0 ? -1 : 1;
    if (done == 0)
        done = ask(source, value, given, found);
    if (source->get != NULL)
        Py_XDECREF(value);
    return done < 0 ? -1 : 0;
}

/* -- making one */

/* Each of these takes references only when all is well. */

static void forget_text(Source *source)
{
    if (source->text == NULL)
        return;
    for (int at = 0; at < source->text->count; at++) {
        Py_CLEAR(source->text->parts[at].key);
        Py_CLEAR(source->text->parts[at].cuts);
        Py_CLEAR(source->text->parts[at].given);
        Py_CLEAR(source->text->parts[at].name);
    }
    Py_CLEAR(source->text->minutes);
    PyMem_Free(source->text);
    source->text = NULL;
}

static PyObject *or_null(PyObject *given)
{
    return given == Py_None ? NULL : Py_NewRef(given);
}

/* The text of a JOINED or JOINED_TIME: (parts, minutes), of which a part is (key, cuts, at, given, name). */
static int read_text(PyObject *given, Source *source)
{
    PyObject *parts, *minutes;
    if (!PyArg_ParseTuple(given, "O!O", &PyTuple_Type, &parts, &minutes))
        return -1;
    int timed = source->how == JOINED_TIME;
    if (PyTuple_GET_SIZE(parts) < 1 || PyTuple_GET_SIZE(parts) > PARTS
        || (timed && !PyDict_CheckExact(minutes))) {
        PyErr_SetString(PyExc_ValueError, "no such text");
        return -1;
    }
    source->text = PyMem_Calloc(1, sizeof(Text));
    if (source->text == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    source->text->minutes = or_null(minutes);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); at++) {
        PyObject *key, *cuts, *text, *name;
        int place;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(parts, at), "OOiOO", &key, &cuts, &place, &text, &name))
            return -1;
        int right = key != Py_None ? PyUnicode_CheckExact(key) && (cuts == Py_None || PyDict_CheckExact(cuts))
                                   : cuts == Py_None && PyUnicode_CheckExact(text != Py_None ? text : name);
        if (!right || place < 0) {
            PyErr_SetString(PyExc_ValueError, "no such part");
            return -1;
        }
        source->text->parts[at] = (Part){or_null(key), or_null(cuts), or_null(text), or_null(name), place};
        source->text->count++;
    }
    return 0;
}

static int has_key(PyObject *dict, PyObject *key)
{
    int found = PyDict_Contains(dict, key);
    if (found < 0)
        PyErr_Clear();
    return found == 1;
}

static int is_pair(PyObject *table)
{
    return PyTuple_CheckExact(table) && PyTuple_GET_SIZE(table) == 2 && PyUnicode_Check(PyTuple_GET_ITEM(table, 1));
}

/* For the garbage collector, of whatever has the source. */
static int visit_source(const Source *source, visitproc visit, void *arg)
{
    Py_VISIT(source->get);
    Py_VISIT(source->call);
    Py_VISIT(source->read);
    Py_VISIT(source->table);
    return 0;
}

/* Of what has sources, when the garbage collector would have it cleared: something may be at work with it. What it holds
   goes when nobody has it any more. */
static int clear_later(PyObject *object)
{
    (void)object;
    return 0;
}

static void forget_source(Source *source)
{
    forget_text(source);
    forget_place(&source->place);
    Py_CLEAR(source->get);
    Py_CLEAR(source->call);
    Py_CLEAR(source->read);
    Py_CLEAR(source->table);
}

/* Whether a text can be put together of an item that is text. */
static int is_joined_of_text(const Text *text)
{
    for (int at = 0; text != NULL && at < text->count; at++)
        if (text->parts[at].key != NULL && !PyUnicode_IS_COMPACT_ASCII(text->parts[at].key))
            return 0;
    return text != NULL;
}

/* A source of (place or expression, converter, reader, how, scale, factor, least, below, table). */
static int read_source(PyObject *described, Source *source)
{
    PyObject *place, *call, *read, *table, *given_factor, *given_least, *given_below;
    int how, scale;
    wide_int factor = 0, least = 0, below = 0;
    *source = (Source){0};
    if (!PyTuple_CheckExact(described)) {
        PyErr_SetString(PyExc_TypeError, "a source is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(described, "OOOiiOOOO", &place, &call, &read, &how, &scale, &given_factor, &given_least,
                          &given_below, &table))
        return -1;
    if (!exact_wide(given_factor, &factor) || !exact_wide(given_least, &least) || !exact_wide(given_below, &below)
        || how < BY_PYTHON || how >= HOWS || factor < 1 || least < 0 || least >= below
        || scale < (how == CUT ? -SHORT_DIGITS : 0) || scale > MOST_DIGITS
        || ((how == NAMED || how == SIGN) && !PyDict_CheckExact(table))
        || (how == SIGN && (!has_key(table, Py_True) || !has_key(table, Py_False)))
        || (how == DECIMAL && table != Py_None && !is_pair(table)) || (how == RECEIVED && place == Py_None)
        || ((how == WHOLE || how == TIME || how == CUT) && table != Py_None && !PyUnicode_CheckExact(table))
        || (how == RECEIPT && !PyUnicode_CheckExact(table))) {
        PyErr_SetString(PyExc_ValueError, "no such source");
        return -1;
    }
    wide_int fewest = (least + factor - 1) / factor, most = (below - 1) / factor;
    source->how = how;
    if (((how == JOINED || how == JOINED_TIME) && read_text(table, source) < 0)
        || (!PyCallable_Check(place) && read_place(place, &source->place) < 0)) {
        forget_source(source);
        return -1;
    }
    PyObject *get = PyCallable_Check(place) ? Py_NewRef(place) : NULL;
    *source = (Source){source->place, get, or_null(call), Py_NewRef(read), how == GIVEN ? scale : 0, or_null(table), how,
                       scale, how == RECEIVED || is_of_text(&source->place) || is_joined_of_text(source->text), factor, below, least, is_long(fewest) ? (int64_t)fewest : INT64_MAX,
                       is_long(most) ? (int64_t)most : INT64_MAX, source->text};
    return 0;
}

#endif
