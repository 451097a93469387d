/* The fast mapper of `k2conn.engine.mapping.fast_mapper`, for one symbol, in C.

   It does what the Python closure beside it does, value for value: reads an item's members, converts the plain forms
   itself and calls the Python converters for all others, writes the record's Avro body, and gives None for whatever is
   not plain. It parses no frames: what it gets are Python objects that the JSON decoder has made. All writes go
   through a buffer that knows its size. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "buffer.h"
#include "content.h"
#include "numbers.h"
#include "paths.h"
#include "sha1.h"

#define MOST 64 /* entries of vendor_data, and fields: beyond that the Python way is gone */

enum {
    BY_PYTHON, DECIMAL, WHOLE, TIME, NAMED, TEXT, RECEIVED, JOINED, JOINED_TIME, MAGNITUDE, SIGNED, SIGN, CUT, HOWS
}; /* how a value is found */
enum { LONG = 'l', UNSCALED = 'd', ENUM = 'e', STRING = 's', BOOLEAN = 'b', LIST = 'a', CONSTANT = 'c' }; /* how it is written */

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
    Place place;      /* where the value is; if nowhere, `call` gets item and scope */
    PyObject *call;   /* the Python converter, or reader */
    PyObject *table;  /* NAMED: value to name; SIGN: True and False to the names of what is above and below zero */
    int how, scale;
    wide_int factor, below, least;
    int64_t fewest;   /* the smallest int that is, times `factor`, no less than what is plausible */
    int64_t most;     /* the largest int that is below `below` times `factor` */
    Text *text;       /* JOINED, JOINED_TIME */
} Source;

typedef struct {
    int kind, nullable, source;
    wide_int below;   /* UNSCALED: the first number with too many digits */
    PyObject *given;  /* CONSTANT: bytes; ENUM: a dict of name to bytes */
} Piece;

typedef struct {
    Place place;      /* where the value is; if nowhere, `read` gets item and scope */
    int member;       /* whether that is one key of the item: such entries come before the unmapped members */
    PyObject *read;   /* NULL where `head` is the whole entry */
    PyObject *head;   /* bytes: the name with its length */
    PyObject *name;   /* where it is what the scope calls so; else NULL */
} Entry;

typedef struct {
    PyObject *before; /* bytes: what stands before the value */
    int source;       /* OWN_ID: the record's own id; NO_VALUE: there is nothing but `before` */
    int places;       /* of a decimal, beyond those of the default schema */
} RowPart;

enum { OWN_ID = -1, NO_VALUE = -2 };

typedef struct {
    wide_int number;
    PyObject *object; /* owned; NULL where `number` is the value */
} Value;

typedef struct {
    PyObject_HEAD
    Sha1 seed;
    PyObject *before, *opening;         /* bytes: of the own id, of vendor_data */
    PyObject *mapped, *names;           /* sets: keys of the item that are mapped, names that entries have */
    PyObject *spell, *unusual;
    PyObject *envelope;                 /* the tuple type of what goes on to the sink */
    PyObject *topic, *symbol, *schema, *account; /* four of its seven members; the others are the record and its times */
    Source identity;                    /* of the venue's own id; without `call` where it has none */
    RowPart *row;                       /* what tells records apart that have no id of the venue's; or none */
    PyObject *numbered;                 /* (scope, digest of a row) -> how many equal rows came before */
    Source *sources;
    Piece *pieces;
    Entry *entries;
    int source_count, piece_count, entry_count, row_count, opened, behind, nullable, keeps, scoped, time_at; /* `behind`: the first piece after vendor_data */
    int price_at; /* -1: such records have no price */
    int numbers[CONTENT_FIELDS], words[CONTENT_FIELDS]; /* the sources of what is a record's content */
    int number_count, word_count, timed;
} Mapper;

static PyObject *received_at, *notes, *unknown_sides, *zero, *decimal_type;

/* -- one value */

/* What the Python converter (or reader) makes of it. 0, or -1 with an exception set. */
static int ask(const Source *source, PyObject *value, const Given *given, Value *found)
{
    PyObject *made = source->place.count ? PyObject_CallOneArg(source->call, value != NULL ? value : Py_None)
                                         : PyObject_CallFunctionObjArgs(source->call, given->item, given->scope, NULL);
    if (made == NULL)
        return -1;
    if (exact_wide(made, &found->number)) {
        Py_DECREF(made);
        return 0;
    }
    found->object = made;
    return 0;
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

/* A text put together. 1 made, 0 not plain, -1 with an exception set. */
static int joined(const Text *text, const Given *given, char *out, Py_ssize_t *used)
{
    *used = 0;
    for (const Part *part = text->parts; part < text->parts + text->count; part++) {
        PyObject *value = part->given, *attribute = NULL;
        if (part->key != NULL) {
            value = PyDict_CheckExact(given->item) ? PyDict_GetItemWithError(given->item, part->key) : NULL;
            if (value != NULL && part->cuts != NULL) {
                value = PyUnicode_CheckExact(value) ? PyDict_GetItemWithError(part->cuts, value) : NULL;
                value = value != NULL && PyTuple_CheckExact(value) && part->at < PyTuple_GET_SIZE(value)
                          ? PyTuple_GET_ITEM(value, part->at) : NULL;
            }
            if (value == NULL)
                return PyErr_Occurred() ? -1 : 0;
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

/* The value of one source. 0, or -1 with an exception set. */
static int take(const Source *source, Given *given, Value *found)
{
    PyObject *value = NULL;
    int64_t number;
    found->object = NULL;
    if (source->how == RECEIVED) {
        PyObject *moment = at_place(&source->place, given);
        if (moment == NULL)
            return -1;
        int fits = exact_wide(moment, &found->number) && is_long(found->number);
        if (!fits)
            PyErr_SetString(PyExc_ValueError, "a time of receipt is a whole number");
        return fits ? 0 : -1;
    }
    if (source->text != NULL) {
        int done = take_joined(source, given, found);
        if (done != 0)
            return done < 0 ? -1 : 0;
    }
    if (source->place.count) {
        value = at_place(&source->place, given);
        if (value == NULL && PyErr_Occurred())
            return -1;
    }
    if (value != NULL) {
        switch (source->how) {
        case DECIMAL:
        case MAGNITUDE:
        case SIGNED:
        case CUT:
            if (unscaled(source, value, &found->number))
                return 0;
            break;
        case SIGN:
            if (unscaled(source, value, &found->number) && found->number != 0) {
                PyObject *name = PyDict_GetItemWithError(source->table, found->number > 0 ? Py_True : Py_False);
                if (name == NULL)
                    return -1; /* it was there */
                found->object = Py_NewRef(name);
                return 0;
            }
            break;
        case WHOLE:
            if (whole_number(value, source->factor, source->fewest, source->most, &found->number))
                return 0;
            break;
        case TIME:
            if (utc_time(value, &number)) {
                found->number = number;
                return 0;
            }
            break;
        case TEXT:
            if (exact_int(value, &number)) {
                found->number = number;
                return 0;
            }
            if (PyUnicode_CheckExact(value) && PyUnicode_GET_LENGTH(value)) {
                found->object = Py_NewRef(value);
                return 0;
            }
            break;
        case NAMED: {
            PyObject *name = name_for(source->table, value);
            if (name != NULL) {
                found->object = Py_NewRef(name);
                return 0;
            }
            if (PyErr_Occurred())
                return -1;
            break;
        }
        }
    }
    return ask(source, value, given, found);
}

/* -- one piece of the body: 1 written, 0 not plain, -1 with an exception set */

/* A list of texts: how many, each of them, and the end. */
static int put_list(Buffer *out, PyObject *list)
{
    if (list == NULL || !PyList_CheckExact(list))
        return 0;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (count > 0 && put_long(out, count) < 0)
        return -1;
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *one = PyList_GET_ITEM(list, at);
        Py_ssize_t size;
        if (!PyUnicode_CheckExact(one))
            return 0;
        const char *text = PyUnicode_AsUTF8AndSize(one, &size);
        if (text == NULL || put_text(out, text, size) < 0)
            return -1;
    }
    return put_bytes(out, "\0", 1) < 0 ? -1 : 1;
}

static int put_piece(Buffer *out, const Mapper *self, const Piece *piece, const Value *values)
{
    if (piece->kind == CONSTANT)
        return put_bytes(out, PyBytes_AS_STRING(piece->given), PyBytes_GET_SIZE(piece->given)) < 0 ? -1 : 1;
    const Value *value = values + piece->source;
    if (piece->nullable) {
        int null = value->object == Py_None;
        if (put_bytes(out, null ? "\0" : "\2", 1) < 0)
            return -1;
        if (null)
            return 1;
    }
    switch (piece->kind) {
    case LONG:
        if (value->object != NULL || !is_long(value->number))
            return 0;
        return put_long(out, (int64_t)value->number) < 0 ? -1 : 1;
    case UNSCALED:
        if (value->object != NULL || value->number >= piece->below || value->number <= -piece->below)
            return 0;
        return put_decimal(out, value->number) < 0 ? -1 : 1;
    case ENUM: {
        if (value->object == NULL || !PyUnicode_CheckExact(value->object))
            return 0;
        PyObject *bytes = PyDict_GetItemWithError(piece->given, value->object);
        if (bytes == NULL)
            return PyErr_Occurred() ? -1 : 0;
        return put_bytes(out, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) < 0 ? -1 : 1;
    }
    case STRING: {
        if (value->object == NULL && is_long(value->number) && self->sources[piece->source].how == TEXT) {
            char digits[20];
            return put_text(out, digits, number_text((int64_t)value->number, digits)) < 0 ? -1 : 1;
        }
        if (value->object == NULL || !PyUnicode_CheckExact(value->object))
            return 0;
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(value->object, &size);
        return text == NULL || put_text(out, text, size) < 0 ? -1 : 1;
    }
    case BOOLEAN:
        if (value->object != Py_True && value->object != Py_False)
            return 0;
        return put_bytes(out, value->object == Py_True ? "\1" : "\0", 1) < 0 ? -1 : 1;
    default: /* LIST */
        return put_list(out, value->object);
    }
}

/* -- vendor_data */

/* A value as text in JSON spelling, behind its name. 0, or -1 with an exception set. */
static int put_entry(Buffer *out, const Mapper *self, const char *head, Py_ssize_t head_size, PyObject *value)
{
    if (put_bytes(out, head, head_size) < 0)
        return -1;
    if (value == Py_True)
        return put_text(out, "true", 4);
    if (value == Py_False)
        return put_text(out, "false", 5);
    int64_t number;
    if (exact_int(value, &number)) {
        char digits[20];
        return put_text(out, digits, number_text(number, digits));
    }
    PyObject *spelled = PyUnicode_CheckExact(value) ? Py_NewRef(value) : PyObject_CallOneArg(self->spell, value);
    if (spelled == NULL)
        return -1;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(spelled, &size);
    int done = text == NULL ? -1 : put_text(out, text, size);
    Py_DECREF(spelled);
    return done;
}

/* The members of the item that are not mapped. How many, -2 where one has an entry's name, -1 with an exception set. */
static int put_unmapped(Buffer *out, const Mapper *self, PyObject *item)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int count = 0;
    while (PyDict_Next(item, &at, &key, &value)) {
        int known = PySet_Contains(self->mapped, key);
        if (known < 0)
            return -1;
        if (known || value == Py_None)
            continue;
        known = PySet_Contains(self->names, key);
        if (known)
            return known < 0 ? -1 : -2;
        Py_ssize_t size;
        const char *name = PyUnicode_AsUTF8AndSize(key, &size);
        if (name == NULL || put_long(out, size) < 0 || put_entry(out, self, name, size, value) < 0)
            return -1;
        count++;
    }
    return count;
}

/* All of vendor_data. 1 written, 0 not plain, -1 with an exception set. */
static int put_vendor(Buffer *out, const Mapper *self, Given *given)
{
    if (self->nullable && put_bytes(out, "\2", 1) < 0)
        return -1;
    Py_ssize_t count_at = out->used;
    int count = self->opened;
    if (put_bytes(out, "\0", 1) < 0
        || put_bytes(out, PyBytes_AS_STRING(self->opening), PyBytes_GET_SIZE(self->opening)) < 0)
        return -1;
    int extras = 0;
    for (int at = 0; at <= self->entry_count; at++) {
        const Entry *entry = self->entries + at;
        if (!extras && (at == self->entry_count || !entry->member)) {
            extras = 1; /* between the entries that are members of the item and all others */
            int more = self->keeps && PyDict_CheckExact(given->item) ? put_unmapped(out, self, given->item) : 0;
            if (more < 0)
                return more == -1 ? -1 : 0;
            count += more;
        }
        if (at == self->entry_count)
            break;
        PyObject *value;
        if (entry->read == NULL) {
            if (put_bytes(out, PyBytes_AS_STRING(entry->head), PyBytes_GET_SIZE(entry->head)) < 0)
                return -1;
            count++;
            continue;
        }
        if (entry->place.count) {
            value = Py_XNewRef(at_place(&entry->place, given));
            if (value == NULL && PyErr_Occurred())
                return -1;
        } else {
            value = entry->name != NULL ? PyObject_GetAttr(given->scope, entry->name)
                                        : PyObject_CallFunctionObjArgs(entry->read, given->item, given->scope, NULL);
            if (value == NULL)
                return -1;
        }
        if (value != NULL && value != Py_None) {
            count++;
            if (put_entry(out, self, PyBytes_AS_STRING(entry->head), PyBytes_GET_SIZE(entry->head), value) < 0) {
                Py_DECREF(value);
                return -1;
            }
        }
        Py_XDECREF(value);
    }
    if (count < 1 || count >= MOST)
        return 0;
    out->bytes[count_at] = (char)(count << 1);
    return put_bytes(out, "\0", 1) < 0 ? -1 : 1;
}

/* -- the record */

/* Bytes as hexadecimal digits; where the next ones go. */
static char *spell_bytes(const uint8_t *bytes, int count, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (int at = 0; at < count; at++) {
        *text++ = digits[bytes[at] >> 4];
        *text++ = digits[bytes[at] & 15];
    }
    return text;
}

/* The text of a name-based UUID (version 5); the digest becomes its bytes. */
static void spell_uuid(uint8_t *digest, char *text)
{
    static const int groups[] = {4, 2, 2, 2, 6};
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x50);
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    for (int at = 0; at < 5; digest += groups[at++]) {
        text = spell_bytes(digest, groups[at], text);
        if (at < 4)
            *text++ = '-';
    }
}

/* A value as Python's str() has it; a decimal with `places` more than the default schema's as it stands there, if it
   can. 1 written, 0 not plain, -1 with an exception set. */
static int put_shown(Buffer *out, const Value *value, int places)
{
    PyObject *object = value->object;
    if (object == NULL) {
        char digits[WIDE_TEXT + 8];
        wide_int number = value->number;
        int more = places > 0 && number % ten_to[places] != 0;
        if (places > 0 && !more)
            number /= ten_to[places];
        Py_ssize_t size = wide_text(number, digits);
        if (more) {
            digits[size++] = 'e';
            size += number_text(-places, digits + size);
        }
        return put_bytes(out, digits, size) < 0 ? -1 : 1;
    }
    if (PyUnicode_CheckExact(object)) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(object, &size);
        return text == NULL || put_bytes(out, text, size) < 0 ? -1 : 1;
    }
    const char *word = object == Py_None ? "None" : object == Py_True ? "True" : object == Py_False ? "False" : NULL;
    return word == NULL ? 0 : put_bytes(out, word, (Py_ssize_t)strlen(word)) < 0 ? -1 : 1;
}

/* The text of the venue's own id. 1 written, 0 not plain, -1 with an exception set. */
static int put_own_id(Buffer *out, const Mapper *self, Given *given)
{
    Value own;
    if (take(&self->identity, given, &own) < 0)
        return -1;
    int done = own.object == NULL ? is_long(own.number) : PyUnicode_CheckExact(own.object);
    if (done && put_shown(out, &own, 0) < 0)
        done = -1;
    Py_XDECREF(own.object);
    return done;
}

/* The id of a record that is told apart by what it says: its time, a digest of its row, and a number among equals. The
   number is asked for when nothing else can fail any more: asked twice, it would be another. 1, 0 or -1 as ever. */
static int put_row_id(Buffer *out, const Mapper *self, const Buffer *own, const Value *values, PyObject *scope)
{
    Buffer row;
    buffer_open(&row);
    int done = 1;
    for (const RowPart *part = self->row; done == 1 && part < self->row + self->row_count; part++) {
        if (put_bytes(&row, PyBytes_AS_STRING(part->before), PyBytes_GET_SIZE(part->before)) < 0)
            done = -1;
        else if (part->source == OWN_ID)
            done = put_bytes(&row, PyBytes_AS_STRING(self->before), PyBytes_GET_SIZE(self->before)) < 0
                       || put_bytes(&row, own->bytes, own->used) < 0 ? -1 : 1;
        else if (part->source != NO_VALUE)
            done = put_shown(&row, values + part->source, part->places);
    }
    char digest[40];
    if (done == 1) {
        Sha1 state;
        uint8_t bytes[20];
        sha1_open(&state);
        sha1_read(&state, (const uint8_t *)row.bytes, (size_t)row.used);
        sha1_end(&state, bytes);
        spell_bytes(bytes, 8, digest);
    }
    buffer_close(&row);
    if (done != 1)
        return done;
    PyObject *text = PyUnicode_DecodeASCII(digest, 16, NULL);
    PyObject *number = text != NULL ? PyObject_CallFunctionObjArgs(self->numbered, scope, text, NULL) : NULL;
    Py_XDECREF(text);
    Value time = {values[self->time_at].number, NULL}, among;
    int whole = number != NULL && exact_wide(number, &among.number);
    among.object = NULL;
    Py_XDECREF(number);
    if (!whole) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_SystemError, "rows are numbered by whole numbers");
        return -1;
    }
    return put_shown(out, &time, 0) < 0 || put_bytes(out, "-", 1) < 0 || put_bytes(out, digest, 16) < 0
                   || put_bytes(out, "-", 1) < 0 || put_shown(out, &among, 0) < 0 ? -1 : 1;
}

/* message_id and the record's own id, by the name that the former is hashed from. 0, or -1 with an exception set. */
static int put_ids(Buffer *out, const Mapper *self, const Buffer *own, const Buffer *name, char *message_id)
{
    Sha1 state = self->seed;
    uint8_t digest[20];
    sha1_read(&state, (const uint8_t *)name->bytes, (size_t)name->used);
    sha1_end(&state, digest);
    spell_uuid(digest, message_id);
    Py_ssize_t before = PyBytes_GET_SIZE(self->before);
    return put_text(out, message_id, 36) < 0 || put_long(out, before + own->used) < 0
                   || put_bytes(out, PyBytes_AS_STRING(self->before), before) < 0
                   || put_bytes(out, own->bytes, own->used) < 0 ? -1 : 0;
}

/* Whether a Python reader left something that belongs into vendor_data, or to the books. */
static int left_notes(PyObject *scope)
{
    PyObject *left = PyObject_GetAttr(scope, notes), *sides = PyObject_GetAttr(scope, unknown_sides);
    int any = left == NULL || sides == NULL ? -1 : PyObject_IsTrue(left);
    if (any == 0)
        any = PyObject_IsTrue(sides);
    Py_XDECREF(left);
    Py_XDECREF(sides);
    return any;
}

/* The pieces from `at` to before `end`. 1 written, 0 not plain, -1 with an exception set. */
static int put_pieces(Buffer *out, const Mapper *self, int at, int end, const Value *values)
{
    for (; at < end; at++) {
        int done = put_piece(out, self, self->pieces + at, values);
        if (done != 1)
            return done;
    }
    return 1;
}

/* The record behind its ids into `out`. 1 written, 0 not plain, -1 with an exception set. */
static int put_body(Buffer *out, const Mapper *self, Given *given, Value *values, int *taken)
{
    for (; *taken < self->source_count; ++*taken)
        if (take(self->sources + *taken, given, values + *taken) < 0)
            return -1;
    int done = put_pieces(out, self, 0, self->behind, values);
    if (done != 1)
        return done;
    const Value *time = values + self->time_at;
    if (time->object != NULL || time->number < 0 || !is_long(time->number))
        return 0;
    if (self->price_at >= 0 && values[self->price_at].object != NULL)
        return 0;
    done = put_vendor(out, self, given);
    if (done == 1)
        done = put_pieces(out, self, self->behind, self->piece_count, values);
    if (done != 1 || !self->scoped)
        return done;
    int left = left_notes(given->scope);
    return left < 0 ? -1 : !left;
}

/* What the record says, in short. 1 made, 0 not plain, -1 with an exception set. */
static int content_of(const Mapper *self, const Value *values, char *content)
{
    int64_t numbers[CONTENT_FIELDS];
    uint32_t words = 2166136261u;
    for (int at = 0; at < self->number_count; at++) {
        const Value *value = values + self->numbers[at];
        if (value->object != NULL && value->object != Py_None)
            return 0;
        numbers[at] = value->object == NULL ? (int64_t)value->number : 0; /* their low 64 bits */
    }
    for (int at = 0; at < self->word_count; at++) {
        const Value *value = values + self->words[at];
        char digits[20];
        Py_ssize_t size = 0;
        const char *text = digits;
        if (value->object == NULL)
            size = number_text(value->number, digits);
        else if (PyUnicode_CheckExact(value->object)) {
            text = PyUnicode_AsUTF8AndSize(value->object, &size);
            if (text == NULL)
                return -1;
        } else if (value->object != Py_None)
            return 0;
        words = hash_word(words, text, size);
    }
    uint16_t word = (uint16_t)(words & 0xffff);
    spell_content(self->timed ? (uint64_t)values[self->time_at].number : 0, hash_numbers(numbers, self->number_count),
                  self->word_count == 0 ? 0 : word != 0 ? word : 1, content);
    return 1;
}

/* A tuple of such a type; takes the parts over. NULL with an exception set where it, or one of them, is missing. */
static PyObject *tuple_of(PyTypeObject *type, PyObject **parts, int count)
{
    PyObject *found = type->tp_alloc(type, count);
    int missing = found == NULL;
    for (int at = 0; at < count; at++) {
        missing |= parts[at] == NULL;
        if (found != NULL)
            PyTuple_SET_ITEM(found, at, parts[at]); /* NULL is allowed until the tuple is used */
        else
            Py_XDECREF(parts[at]);
    }
    if (!missing)
        return found;
    Py_XDECREF(found);
    return NULL;
}

/* The bytes of both, one behind the other; NULL with an exception set. */
static PyObject *bytes_of(const Buffer *head, const Buffer *body)
{
    PyObject *found = PyBytes_FromStringAndSize(NULL, head->used + body->used);
    if (found != NULL) {
        memcpy(PyBytes_AS_STRING(found), head->bytes, (size_t)head->used);
        memcpy(PyBytes_AS_STRING(found) + head->used, body->bytes, (size_t)body->used);
    }
    return found;
}

static PyObject *made(const Mapper *self, PyObject *record, const Value *values, const char *message_id,
                      const char *content, PyObject *scope)
{
    int64_t time = (int64_t)values[self->time_at].number;
    PyObject *sent[7] = {Py_NewRef(self->topic), Py_NewRef(self->symbol),
                         record, Py_NewRef(self->schema),
                         PyLong_FromLongLong(time / 1000), Py_NewRef(self->account),
                         PyObject_GetAttr(scope, received_at)};
    PyObject *parts[5] = {PyUnicode_DecodeASCII(message_id, 36, NULL), PyLong_FromLongLong(time),
                          self->price_at < 0 ? Py_NewRef(Py_None)
                                             : int_of(values[self->price_at].number),
                          tuple_of((PyTypeObject *)self->envelope, sent, 7),
                          PyBytes_FromStringAndSize(content, CONTENT_BYTES)};
    return tuple_of(&PyTuple_Type, parts, 5);
}

/* What an item that is not plain has left behind in the scope is forgotten, as if it had not been tried. */
static PyObject *give_up(PyObject *scope)
{
    PyObject *empty = PyDict_New();
    if (empty == NULL)
        return NULL;
    int failed = PyObject_SetAttr(scope, notes, empty) < 0 || PyObject_SetAttr(scope, unknown_sides, zero) < 0;
    Py_DECREF(empty);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *mapper_make(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    const Mapper *self = (const Mapper *)object;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "a mapper takes an item and a scope");
        return NULL;
    }
    PyObject *scope = arguments[1];
    Given given = {arguments[0], scope, {NULL}};
    Buffer body, own, name, head;
    Value values[MOST];
    char message_id[36], content[CONTENT_BYTES];
    int taken = 0;
    buffer_open(&body);
    buffer_open(&own);
    buffer_open(&name);
    buffer_open(&head);
    PyObject *found = NULL;
    int done = self->identity.call != NULL ? put_own_id(&own, self, &given) : 1;
    if (done == 1)
        done = put_body(&body, self, &given, values, &taken);
    if (done == 1)
        done = content_of(self, values, content);
    if (done == 1 && self->row_count)
        done = put_row_id(&name, self, &own, values, scope);
    if (done == 1) {
        const Buffer *hashed = self->row_count ? &name : &own;
        if (put_ids(&head, self, self->identity.call != NULL ? &own : hashed, hashed, message_id) < 0)
            done = -1;
        else
            found = made(self, bytes_of(&head, &body), values, message_id, content, scope);
    }
    if (done == 0)
        found = give_up(scope);
    else if (done < 0 && PyErr_ExceptionMatches(self->unusual)) {
        PyErr_Clear();
        found = give_up(scope);
    }
    while (taken)
        Py_XDECREF(values[--taken].object);
    forget_given(&given);
    buffer_close(&body);
    buffer_close(&own);
    buffer_close(&name);
    buffer_close(&head);
    return found;
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

static int read_source(PyObject *given, Source *source)
{
    PyObject *place, *call, *table, *given_factor, *given_least, *given_below;
    int how, scale;
    wide_int factor = 0, least = 0, below = 0;
    if (!PyArg_ParseTuple(given, "OOiiOOOO", &place, &call, &how, &scale, &given_factor, &given_least, &given_below,
                          &table))
        return -1;
    if (!exact_wide(given_factor, &factor) || !exact_wide(given_least, &least) || !exact_wide(given_below, &below)
        || how < BY_PYTHON || how >= HOWS || factor < 1 || least < 0 || least >= below
        || scale < (how == CUT ? -SHORT_DIGITS : 0) || scale > MOST_DIGITS
        || ((how == NAMED || how == SIGN) && !PyDict_CheckExact(table))
        || (how == SIGN && (!has_key(table, Py_True) || !has_key(table, Py_False)))
        || (how == RECEIVED && place == Py_None)) {
        PyErr_SetString(PyExc_ValueError, "no such source");
        return -1;
    }
    wide_int fewest = (least + factor - 1) / factor, most = (below - 1) / factor;
    *source = (Source){.how = how};
    if (((how == JOINED || how == JOINED_TIME) && read_text(table, source) < 0)
        || read_place(place, &source->place) < 0) {
        forget_text(source);
        return -1;
    }
    *source = (Source){source->place, Py_NewRef(call), or_null(table), how, scale, factor, below, least,
                       is_long(fewest) ? (int64_t)fewest : INT64_MAX, is_long(most) ? (int64_t)most : INT64_MAX,
                       source->text};
    return 0;
}

static int read_piece(PyObject *given, Piece *piece, int sources)
{
    PyObject *what, *given_below;
    wide_int below = 0;
    int kind, nullable, source;
    if (!PyArg_ParseTuple(given, "CpiOO", &kind, &nullable, &source, &given_below, &what))
        return -1;
    int known = !exact_wide(given_below, &below) ? 0
              : kind == CONSTANT ? PyBytes_CheckExact(what)
              : kind == ENUM ? PyDict_CheckExact(what)
                             : kind == LONG || kind == UNSCALED || kind == STRING || kind == BOOLEAN || kind == LIST;
    if (kind == ENUM && known) {
        PyObject *name, *bytes;
        Py_ssize_t at = 0;
        while (PyDict_Next(what, &at, &name, &bytes))
            known = known && PyBytes_CheckExact(bytes);
    }
    if (!known || (kind != CONSTANT && (source < 0 || source >= sources))) {
        PyErr_SetString(PyExc_ValueError, "no such piece");
        return -1;
    }
    *piece = (Piece){kind, nullable, source, below, Py_NewRef(what)};
    return 0;
}

static int read_entry(PyObject *given, Entry *entry)
{
    PyObject *described, *read, *head, *name = Py_None;
    if (!PyArg_ParseTuple(given, "OOS|O", &described, &read, &head, &name))
        return -1;
    Place place;
    if (read_place(described, &place) < 0)
        return -1;
    const Path *path = place.paths;
    int member = place.count == 1 && path->root == ITEM && path->count == 1 && path->steps->key != NULL;
    *entry = (Entry){place, member, or_null(read), Py_NewRef(head), or_null(name)};
    return 0;
}

static int read_row_part(PyObject *given, RowPart *part, int sources)
{
    PyObject *before;
    int source, places;
    if (!PyArg_ParseTuple(given, "Sii", &before, &source, &places))
        return -1;
    if (source < NO_VALUE || source >= sources || places < 0 || places > MOST_DIGITS) {
        PyErr_SetString(PyExc_ValueError, "no such part of a row");
        return -1;
    }
    *part = (RowPart){Py_NewRef(before), source, places};
    return 0;
}

static void mapper_forget(Mapper *self)
{
    Py_CLEAR(self->numbered);
    for (int at = 0; at < self->row_count; at++)
        Py_CLEAR(self->row[at].before);
    Py_CLEAR(self->before);
    Py_CLEAR(self->opening);
    Py_CLEAR(self->mapped);
    Py_CLEAR(self->names);
    Py_CLEAR(self->spell);
    Py_CLEAR(self->unusual);
    Py_CLEAR(self->envelope);
    Py_CLEAR(self->topic);
    Py_CLEAR(self->symbol);
    Py_CLEAR(self->schema);
    Py_CLEAR(self->account);
    forget_place(&self->identity.place);
    Py_CLEAR(self->identity.call);
    Py_CLEAR(self->identity.table);
    forget_text(&self->identity);
    for (int at = 0; at < self->source_count; at++) {
        forget_text(self->sources + at);
        forget_place(&self->sources[at].place);
        Py_CLEAR(self->sources[at].call);
        Py_CLEAR(self->sources[at].table);
    }
    for (int at = 0; at < self->piece_count; at++)
        Py_CLEAR(self->pieces[at].given);
    for (int at = 0; at < self->entry_count; at++) {
        forget_place(&self->entries[at].place);
        Py_CLEAR(self->entries[at].read);
        Py_CLEAR(self->entries[at].head);
        Py_CLEAR(self->entries[at].name);
    }
}

static int mapper_visit(PyObject *object, visitproc visit, void *arg)
{
    Mapper *self = (Mapper *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->mapped);
    Py_VISIT(self->names);
    Py_VISIT(self->spell);
    Py_VISIT(self->unusual);
    Py_VISIT(self->envelope);
    Py_VISIT(self->schema);
    Py_VISIT(self->account);
    Py_VISIT(self->numbered);
    Py_VISIT(self->identity.call);
    Py_VISIT(self->identity.table);
    for (int at = 0; at < self->source_count; at++) {
        Py_VISIT(self->sources[at].call);
        Py_VISIT(self->sources[at].table);
    }
    for (int at = 0; at < self->piece_count; at++)
        Py_VISIT(self->pieces[at].given);
    for (int at = 0; at < self->entry_count; at++)
        Py_VISIT(self->entries[at].read);
    return 0;
}

static int mapper_clear(PyObject *object)
{
    mapper_forget((Mapper *)object);
    return 0;
}

static void mapper_end(PyObject *object)
{
    Mapper *self = (Mapper *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    mapper_forget(self);
    PyMem_Free(self->sources);
    PyMem_Free(self->pieces);
    PyMem_Free(self->entries);
    PyMem_Free(self->row);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The sources of a record's content. How many, -1 with an exception set. */
static int read_places(PyObject *given, int *places, int sources)
{
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    for (Py_ssize_t at = 0; at < count && count <= CONTENT_FIELDS; at++) {
        long place = PyLong_AsLong(PyTuple_GET_ITEM(given, at));
        if (place == -1 && PyErr_Occurred())
            return -1;
        if (place < 0 || place >= sources)
            count = CONTENT_FIELDS + 1;
        else
            places[at] = (int)place;
    }
    if (count <= CONTENT_FIELDS)
        return (int)count;
    PyErr_SetString(PyExc_ValueError, "no such source, or too many of them");
    return -1;
}

static int read_parts(Mapper *self, PyObject *sources, PyObject *pieces, PyObject *entries, PyObject *row)
{
    if (PyTuple_GET_SIZE(sources) > MOST || PyTuple_GET_SIZE(pieces) > MOST || PyTuple_GET_SIZE(entries) > MOST
        || PyTuple_GET_SIZE(row) > MOST) {
        PyErr_SetString(PyExc_ValueError, "too many fields or entries");
        return -1;
    }
    /* One more of each: none is empty, and behind the last entry stands one that is no member. */
    self->sources = PyMem_Calloc((size_t)PyTuple_GET_SIZE(sources) + 1, sizeof(Source));
    self->pieces = PyMem_Calloc((size_t)PyTuple_GET_SIZE(pieces) + 1, sizeof(Piece));
    self->entries = PyMem_Calloc((size_t)PyTuple_GET_SIZE(entries) + 1, sizeof(Entry));
    self->row = PyMem_Calloc((size_t)PyTuple_GET_SIZE(row) + 1, sizeof(RowPart));
    if (self->sources == NULL || self->pieces == NULL || self->entries == NULL || self->row == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    /* Each is counted when it is whole. */
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(sources); at++, self->source_count++)
        if (read_source(PyTuple_GET_ITEM(sources, at), self->sources + at) < 0)
            return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(pieces); at++, self->piece_count++)
        if (read_piece(PyTuple_GET_ITEM(pieces, at), self->pieces + at, self->source_count) < 0)
            return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(entries); at++, self->entry_count++)
        if (read_entry(PyTuple_GET_ITEM(entries, at), self->entries + at) < 0)
            return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(row); at++, self->row_count++)
        if (read_row_part(PyTuple_GET_ITEM(row, at), self->row + at, self->source_count) < 0)
            return -1;
    if (self->identity.call == NULL && !self->row_count) {
        PyErr_SetString(PyExc_ValueError, "a record has an id or a row");
        return -1;
    }
    if (self->time_at < 0 || self->time_at >= self->source_count || self->price_at < -1
        || self->price_at >= self->source_count) {
        PyErr_SetString(PyExc_ValueError, "no such source");
        return -1;
    }
    return 0;
}

static PyObject *mapper_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"seed", "identity", "row", "numbered", "before", "opening", "opened", "nullable", "sources", "pieces",
                            "entries", "keeps", "mapped", "names", "scoped", "time_at", "price_at", "spell", "unusual",
                            "envelope", "topic", "symbol", "schema", "account", "numbers", "words", "timed", "behind",
                            NULL};
    Mapper *self = (Mapper *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    PyObject *seed, *identity, *before, *opening, *sources, *pieces, *entries, *mapped, *known, *spell, *unusual;
    PyObject *envelope, *topic, *symbol, *schema, *account, *numbers, *words, *row, *numbered;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "SOO!OSSipO!O!O!pO!O!piiOO!O!OOOOO!O!pi", names, &seed,
                                     &identity, &PyTuple_Type, &row, &numbered, &before, &opening, &self->opened, &self->nullable,
                                     &PyTuple_Type, &sources, &PyTuple_Type, &pieces, &PyTuple_Type, &entries,
                                     &self->keeps, &PyFrozenSet_Type, &mapped, &PyFrozenSet_Type, &known,
                                     &self->scoped, &self->time_at, &self->price_at, &spell, &PyTuple_Type, &unusual, &PyType_Type, &envelope,
                                     &topic, &symbol, &schema, &account, &PyTuple_Type, &numbers, &PyTuple_Type,
                                     &words, &self->timed, &self->behind)) {
        Py_DECREF(self);
        return NULL;
    }
    if (!PyType_IsSubtype((PyTypeObject *)envelope, &PyTuple_Type)
        || ((PyTypeObject *)envelope)->tp_basicsize != PyTuple_Type.tp_basicsize) {
        PyErr_SetString(PyExc_TypeError, "an envelope is a tuple and nothing more");
        Py_DECREF(self);
        return NULL;
    }
    self->envelope = Py_NewRef(envelope);
    self->topic = Py_NewRef(topic);
    self->symbol = Py_NewRef(symbol);
    self->schema = Py_NewRef(schema);
    self->account = Py_NewRef(account);
    self->before = Py_NewRef(before);
    self->opening = Py_NewRef(opening);
    self->mapped = Py_NewRef(mapped);
    self->names = Py_NewRef(known);
    self->spell = Py_NewRef(spell);
    self->unusual = Py_NewRef(unusual);
    self->numbered = Py_NewRef(numbered);
    sha1_open(&self->seed);
    sha1_read(&self->seed, (const uint8_t *)PyBytes_AS_STRING(seed), (size_t)PyBytes_GET_SIZE(seed));
    if (identity != Py_None && !PyTuple_CheckExact(identity)) {
        PyErr_SetString(PyExc_TypeError, "an identity is a source, or None");
        Py_DECREF(self);
        return NULL;
    }
    if ((identity != Py_None && read_source(identity, &self->identity) < 0)
        || read_parts(self, sources, pieces, entries, row) < 0
        || (self->number_count = read_places(numbers, self->numbers, self->source_count)) < 0
        || (self->word_count = read_places(words, self->words, self->source_count)) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->behind < 0 || self->behind > self->piece_count) {
        PyErr_SetString(PyExc_ValueError, "there are not so many pieces before vendor_data");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef mapper_methods[] = {
    {"make", (PyCFunction)(void (*)(void))mapper_make, METH_FASTCALL,
     "(item, scope) -> (message_id, event_us, price, envelope, content), or None where the general mapper must decide."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot mapper_slots[] = {
    {Py_tp_doc, "Maps the items of one symbol."},
    {Py_tp_new, mapper_new},
    {Py_tp_methods, mapper_methods},
    {Py_tp_traverse, mapper_visit},
    {Py_tp_clear, mapper_clear},
    {Py_tp_dealloc, mapper_end},
    {0, NULL},
};

static PyType_Spec mapper_spec = {
    .name = "k2conn.native.mapper.Mapper",
    .basicsize = sizeof(Mapper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = mapper_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.mapper", .m_doc = "Maps items to records in C.", .m_size = -1,
};

PyMODINIT_FUNC PyInit_mapper(void)
{
    fill_powers();
    if (name_roots() < 0)
        return NULL;
    received_at = PyUnicode_InternFromString("received_at");
    notes = PyUnicode_InternFromString("notes");
    unknown_sides = PyUnicode_InternFromString("unknown_sides");
    zero = PyLong_FromLong(0);
    PyObject *decimal = PyImport_ImportModule("decimal");
    decimal_type = decimal != NULL ? PyObject_GetAttrString(decimal, "Decimal") : NULL;
    Py_XDECREF(decimal);
    if (received_at == NULL || notes == NULL || unknown_sides == NULL || zero == NULL || decimal_type == NULL)
        return NULL;
    PyObject *found = PyModule_Create(&module);
    PyObject *type = found != NULL ? PyType_FromSpec(&mapper_spec) : NULL;
    if (type == NULL || PyModule_AddIntConstant(found, "MOST_DIGITS", MOST_DIGITS) < 0 || PyModule_AddObjectRef(found, "Mapper", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(found);
        return NULL;
    }
    Py_DECREF(type);
    return found;
}
