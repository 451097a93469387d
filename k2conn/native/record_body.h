/* The body of one record: its fields in the schema's order, and vendor_data among them.

   A *program* is what all records of a stream have in common: the sources of their values (sources.h), the entries of
   vendor_data, what tells records apart. It is made once, and the mappers of all symbols of the stream share it
   (mapper.c). Of a symbol there are the *pieces*: what stands between the ids and the end of the body, one behind the
   other, each a value's encoding or bytes that are the same in every record of the symbol.

   vendor_data is a map in one block: what the symbol says, the entries that are members of the item, the members that
   nobody mapped, all other entries, and the notes that Python readers left in the scope (which of a record's values are
   not as the venue wrote them). Its count stands before it in one byte, so it has fewer than MOST entries.

   Every function gives 1 where it wrote, 0 where the record is not plain (a value that does not fit its field, two
   entries of one name), and -1 with an exception set. What was written by then does not matter: the caller throws the
   buffer away, and the general mapper decides. All writing goes through buffer.h, which knows how much room there is. */
#ifndef K2CONN_RECORD_BODY_H
#define K2CONN_RECORD_BODY_H

#include "sources.h"


#define MOST 64 /* entries of vendor_data, and fields: beyond that the way through C is gone */

enum {
    LONG = 'l', UNSCALED = 'd', ENUM = 'e', STRING = 's', BOOLEAN = 'b', LIST = 'a', WRITTEN = 'p', CONSTANT = 'c'
}; /* how a value is written */

typedef struct {
    int kind, nullable, source;
    wide_int below;   /* UNSCALED: the first number with too many digits */
    PyObject *given;  /* CONSTANT: bytes; ENUM: a dict of name to bytes; WRITTEN: what writes the value */
} Piece;

typedef struct {
    Place place;      /* where the value is; if nowhere, `read` gets item and scope */
    int in_text;      /* whether it can be read where the item is text */
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

#define KEY_SLOTS 256 /* more than there are mapped keys; with half as many, items are not mapped as text */

typedef struct {
    const char *text; /* of a text that `Program.mapped` has; NULL where the slot is free */
    Py_ssize_t size;
} Key;

static inline int key_hash(const char *key, Py_ssize_t size)
{
    unsigned hash = (unsigned)size * 131u;
    if (size)
        hash += (unsigned char)key[0] * 31u + (unsigned char)key[size - 1] * 7u + (unsigned char)key[size / 2];
    return (int)(hash % KEY_SLOTS);
}

typedef struct {
    PyObject_HEAD
    PyObject *before;       /* bytes: of the own id */
    PyObject *mapped;       /* a set: keys of the item that are mapped */
    PyObject *spell;        /* a value as text */
    PyObject *unusual, *odd; /* exceptions: after which the general mapper decides, and for which a reader is asked */
    PyObject *envelope;     /* the tuple type of what goes on to the sink */
    PyObject *schema;       /* one of its members */
    PyObject *time_source;  /* the note that says that the time is not the item's own */
    PyObject *scoped;       /* what makes the id where those of the venue are not unique; or NULL */
    Source identity;        /* of the venue's own id; without `read` where it has none */
    Source *sources;
    Entry *entries;
    RowPart *row;           /* what tells records apart that have no id of the venue's; or none */
    int source_count, entry_count, row_count, nullable, keeps, time_at, timed;
    int identified;         /* whether the record has a field for its own id */
    int price_at;           /* -1: such records have no price */
    int numbers[CONTENT_FIELDS], words[CONTENT_FIELDS]; /* the sources of what is a record's content */
    int empty[CONTENT_FIELDS], scope[CONTENT_FIELDS];   /* ... of those that are not all zero; of what ids are unique within */
    int number_count, word_count, empty_count, scope_count;
    char of_text;           /* whether items can be mapped that are text: there are few mapped keys */
    Key keys[KEY_SLOTS];    /* the mapped keys, each in the first free slot from its hash on */
} Program;

typedef struct {
    PyObject_HEAD
    Program *program;
    Sha1 seed;
    PyObject *opening;   /* bytes: of vendor_data */
    PyObject *names;     /* a set: names that entries have */
    PyObject *topic, *symbol, *account; /* three of the envelope's members */
    PyObject *numbered;  /* (scope, digest of a row) -> how many equal rows came before */
    Piece *pieces;
    int piece_count, opened, behind; /* `behind`: the first piece after vendor_data */
} Mapper;

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

/* What Python writes of a value of a kind that is not known here. */
static int put_written(Buffer *out, PyObject *write, const Value *value)
{
    PyObject *object = value->object != NULL ? Py_NewRef(value->object) : int_of(value->number);
    PyObject *bytes = object != NULL ? PyObject_CallOneArg(write, object) : NULL;
    Py_XDECREF(object);
    if (bytes == NULL)
        return -1;
    int done = !PyBytes_CheckExact(bytes) ? 0
               : put_bytes(out, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) < 0 ? -1 : 1;
    Py_DECREF(bytes);
    return done;
}

static int put_piece(Buffer *out, const Program *program, const Piece *piece, const Value *values)
{
    if (piece->kind == CONSTANT)
        return put_bytes(out, PyBytes_AS_STRING(piece->given), PyBytes_GET_SIZE(piece->given)) < 0 ? -1 : 1;
    const Value *value = values + piece->source;
    if (piece->kind == WRITTEN)
        return put_written(out, piece->given, value);
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
        if (value->object == NULL && is_long(value->number) && program->sources[piece->source].how == TEXT) {
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

/* A decimal as it is written where that is without an exponent; else as `spell` has it. NULL with an exception set. */
static PyObject *spelled_of(const Program *program, PyObject *value)
{
    if (PyUnicode_CheckExact(value))
        return Py_NewRef(value);
    if ((PyObject *)Py_TYPE(value) == decimal_type) {
        PyObject *text = PyObject_Str(value);
        Py_ssize_t size = 0;
        const char *digits = text != NULL ? ascii_text(text, &size) : NULL;
        if (digits != NULL && memchr(digits, 'E', (size_t)size) == NULL)
            return text;
        Py_XDECREF(text);
        if (text == NULL)
            return NULL;
    }
    return PyObject_CallOneArg(program->spell, value);
}

/* A value as text in JSON spelling, behind its name. 0, or -1 with an exception set. */
static int put_entry(Buffer *out, const Program *program, const char *head, Py_ssize_t head_size, PyObject *value)
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
    PyObject *spelled = spelled_of(program, value);
    Py_ssize_t size;
    const char *text = spelled != NULL ? PyUnicode_AsUTF8AndSize(spelled, &size) : NULL;
    int done = text == NULL ? -1 : put_text(out, text, size);
    Py_XDECREF(spelled);
    return done;
}

/* The same behind a name that is a Python text. */
static int put_named(Buffer *out, const Program *program, PyObject *key, PyObject *value)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(key, &size);
    return name == NULL || put_long(out, size) < 0 ? -1 : put_entry(out, program, name, size, value);
}

/* The same of an item that is text that nobody has read. 0, or -1 with an exception set. */
static int put_entry_of_text(Buffer *out, const Program *program, const char *head, Py_ssize_t head_size, const Given *given,
                             int at)
{
    const JsonNode *node = given->json->nodes + at;
    if (node->kind < JSON_LIST && node->kind != JSON_OTHER) /* as it stands there, but that is what a value is spelled like */
        return put_bytes(out, head, head_size) < 0 ? -1 : put_text(out, given->json->text + node->start, node->size);
    PyObject *value = object_of(given, at);
    int done = value != NULL ? put_entry(out, program, head, head_size, value) : -1;
    Py_XDECREF(value);
    return done;
}

/* Whether a key of the item's text is mapped. */
static int is_mapped(const Program *program, const char *key, Py_ssize_t size)
{
    for (int at = key_hash(key, size); program->keys[at].text != NULL; at = (at + 1) % KEY_SLOTS)
        if (program->keys[at].size == size && memcmp(program->keys[at].text, key, (size_t)size) == 0)
            return 1;
    return 0;
}

/* `put_unmapped` of an item that is text. */
static int put_unmapped_text(Buffer *out, const Mapper *self, const Given *given)
{
    const JsonText *json = given->json;
    int count = 0, end = json->nodes[given->node].next;
    for (int at = given->node + 1; at < end; at = json->nodes[at].next) {
        const JsonNode *node = json->nodes + at;
        const char *key = json->text + node->key;
        if (is_mapped(self->program, key, node->key_size))
            continue;
        for (int other = node->next; json->nodes[given->node].unsure && other < end; other = json->nodes[other].next)
            if (json_has_key(json, json->nodes + other, key, node->key_size))
                return -2; /* which of them stands where, the general mapper knows */
        if (node->kind == JSON_NULL)
            continue;
        PyObject *name = PyUnicode_DecodeUTF8(key, node->key_size, NULL);
        int known = name != NULL ? PySet_Contains(self->names, name) : -1;
        Py_XDECREF(name);
        if (known)
            return known < 0 ? -1 : -2;
        if (put_long(out, node->key_size) < 0
            || put_entry_of_text(out, self->program, key, node->key_size, given, at) < 0)
            return -1;
        count++;
    }
    return count;
}

/* The members of the item that are not mapped. How many, -2 where one has an entry's name, -1 with an exception set. */
static int put_unmapped(Buffer *out, const Mapper *self, PyObject *item)
{
    PyObject *key, *value;
    Py_ssize_t at = 0, size = PyDict_GET_SIZE(item);
    int count = 0;
    while (PyDict_GET_SIZE(item) == size && PyDict_Next(item, &at, &key, &value)) {
        int known = PySet_Contains(self->program->mapped, key);
        if (known < 0)
            return -1;
        if (known || value == Py_None)
            continue;
        known = PySet_Contains(self->names, key);
        if (known)
            return known < 0 ? -1 : -2;
        if (put_named(out, self->program, key, value) < 0)
            return -1;
        count++;
    }
    return count;
}

/* Whether the item has such a key; -1 with an exception set. */
static int has_member(const Given *given, PyObject *key)
{
    if (given->json == NULL)
        return PyDict_CheckExact(given->item) ? PyDict_Contains(given->item, key) : 0;
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(key, &size);
    if (name == NULL)
        return -1;
    return given->json->nodes[given->node].kind == JSON_DICT
           && json_member(given->json, given->node, name, size) != NOWHERE;
}

/* What readers have noted. How many, -2 where one has the name of another entry, -1 with an exception set. */
static int put_notes(Buffer *out, const Mapper *self, const Given *given, PyObject *noted)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int count = 0;
    while (PyDict_Next(noted, &at, &key, &value)) {
        int known = PySet_Contains(self->names, key);
        if (!known && self->program->keeps)
            known = has_member(given, key);
        if (known)
            return known < 0 ? -1 : -2;
        if (!PyUnicode_CheckExact(value))
            return -2;
        if (put_named(out, self->program, key, value) < 0)
            return -1;
        count++;
    }
    return count;
}

/* One entry. Whether there was a value, -1 with an exception set. */
static int put_mapped(Buffer *out, const Program *program, const Entry *entry, Given *given)
{
    PyObject *value;
    if (entry->read == NULL)
        return put_bytes(out, PyBytes_AS_STRING(entry->head), PyBytes_GET_SIZE(entry->head)) < 0 ? -1 : 1;
    if (given->json != NULL && entry->in_text) {
        int node = node_at(&entry->place, given), there = node != NOWHERE && given->json->nodes[node].kind != JSON_NULL;
        return there && put_entry_of_text(out, program, PyBytes_AS_STRING(entry->head), PyBytes_GET_SIZE(entry->head), given,
                                          node) < 0 ? -1 : there;
    }
    if (open_item(given) < 0)
        return -1;
    if (entry->place.count)
        value = Py_XNewRef(at_place(&entry->place, given));
    else if (entry->name != NULL)
        value = PyObject_GetAttr(given->scope, entry->name);
    else
        value = PyObject_CallFunctionObjArgs(entry->read, given->item, given->scope, NULL);
    if (value == NULL && PyErr_Occurred())
        return -1;
    int there = value != NULL && value != Py_None;
    if (there && put_entry(out, program, PyBytes_AS_STRING(entry->head), PyBytes_GET_SIZE(entry->head), value) < 0)
        there = -1;
    Py_XDECREF(value);
    return there;
}

/* All of vendor_data; `noted` may be NULL. 1 written, 0 not plain, -1 with an exception set. */
static int put_vendor(Buffer *out, const Mapper *self, Given *given, PyObject *noted)
{
    const Program *program = self->program;
    if (program->nullable && put_bytes(out, "\2", 1) < 0)
        return -1;
    Py_ssize_t count_at = out->used;
    int count = self->opened, extras = 0;
    if (put_bytes(out, "\0", 1) < 0
        || put_bytes(out, PyBytes_AS_STRING(self->opening), PyBytes_GET_SIZE(self->opening)) < 0)
        return -1;
    for (int at = 0; at <= program->entry_count; at++) {
        const Entry *entry = program->entries + at;
        int more = 0;
        if (!extras && (at == program->entry_count || !entry->member)) {
            extras = 1; /* between the entries that are members of the item and all others */
            more = !program->keeps ? 0
                   : given->json != NULL ? given->json->nodes[given->node].kind == JSON_DICT ? put_unmapped_text(out, self, given) : 0
                   : PyDict_CheckExact(given->item) ? put_unmapped(out, self, given->item) : 0;
            if (more < 0)
                return more == -1 ? -1 : 0;
            count += more;
        }
        more = at < program->entry_count ? put_mapped(out, program, entry, given)
               : noted != NULL           ? put_notes(out, self, given, noted)
                                         : 0;
        if (more < 0)
            return more == -1 ? -1 : 0;
        count += more;
    }
    if (count < 1 || count >= MOST)
        return 0;
    out->bytes[count_at] = (char)(count << 1);
    return put_bytes(out, "\0", 1) < 0 ? -1 : 1;
}

/* -- describing them */

static int read_piece(PyObject *given, Piece *piece, int sources)
{
    PyObject *what, *given_below;
    wide_int below = 0;
    int kind, nullable, source;
    if (!PyArg_ParseTuple(given, "CpiOO", &kind, &nullable, &source, &given_below, &what))
        return -1;
    int known = !exact_wide(given_below, &below) ? 0
              : kind == CONSTANT ? PyBytes_CheckExact(what)
              : kind == WRITTEN ? PyCallable_Check(what)
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
    *entry = (Entry){place, is_of_text(&place), member, or_null(read), Py_NewRef(head), or_null(name)};
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

#endif
