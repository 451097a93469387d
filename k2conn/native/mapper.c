/* From an item to its record, in C: what `k2conn.engine.mapping.general_mapper` does, for items that are plain.

   Python describes a stream once (`native_mapper.NativeMappers`): that is a Program. A Mapper is one symbol of it: the seed
   of its ids, the bytes that all its records have in common, and a reference to the program. `make` takes an item, the scope
   that it is seen with, and the values that the caller knows already; it gives the record in its envelope with what
   deduplication needs to know of it, or None for an item that is not plain, which the general mapper must decide. So it may
   give up at any point, but must never make bytes that the general mapper would not. It parses no frames: what it gets are
   Python objects that the JSON decoder has made.

   One record is made in this order: the values (sources.h), the pieces and vendor_data (record_body.h), the venue's own id,
   the row that tells records apart where there is none, the message id (sha1.h), the content (content.h), the envelope. What
   counts something (the number among equal rows) comes when nothing else can fail. What is left in the scope afterwards is
   what the general mapper would leave: no notes, the unknown sides and the rounded field for the caller's books; where
   `make` gives None, nothing. The errors of Python readers that say "no such record" are swallowed there, because the
   general mapper meets them again and says them with their place; any other propagates.

   A Python reader that is called meanwhile may call anything: the mapper holds no state of its own while it runs (all is on
   the stack and in what the arguments hold), so `make` may be entered again, from another thread, too. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "content.h"
#include "sha1.h"
#include "record_body.h"
#include "carried.h"

static PyObject *received_at, *unknown_sides, *zero;

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
static int put_own_id(Buffer *out, const Program *program, Given *given)
{
    Value own;
    if (take(&program->identity, given, &own) < 0)
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
    const Program *program = self->program;
    Buffer row;
    buffer_open(&row);
    int done = 1;
    for (const RowPart *part = program->row; done == 1 && part < program->row + program->row_count; part++) {
        if (put_bytes(&row, PyBytes_AS_STRING(part->before), PyBytes_GET_SIZE(part->before)) < 0)
            done = -1;
        else if (part->source == OWN_ID)
            done = put_bytes(&row, PyBytes_AS_STRING(program->before), PyBytes_GET_SIZE(program->before)) < 0
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
    Value time = {values[program->time_at].number, NULL}, among = {0, NULL};
    if (self->numbered != Py_None) {
        PyObject *text = PyUnicode_DecodeASCII(digest, 16, NULL);
        PyObject *number = text != NULL ? PyObject_CallFunctionObjArgs(self->numbered, scope, text, NULL) : NULL;
        Py_XDECREF(text);
        int whole = number != NULL && exact_wide(number, &among.number);
        Py_XDECREF(number);
        if (!whole) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_SystemError, "rows are numbered by whole numbers");
            return -1;
        }
    }
    return put_shown(out, &time, 0) < 0 || put_bytes(out, "-", 1) < 0 || put_bytes(out, digest, 16) < 0
                   || put_bytes(out, "-", 1) < 0 || put_shown(out, &among, 0) < 0 ? -1 : 1;
}

/* An id with what it is unique within, as Python puts them together; in its place. 1, 0 or -1 as ever. */
static int scope_id(Buffer *name, const Program *program, const Value *values)
{
    PyObject *said = PyTuple_New(program->scope_count);
    for (int at = 0; said != NULL && at < program->scope_count; at++) {
        const Value *value = values + program->scope[at];
        PyObject *one = value->object != NULL ? Py_NewRef(value->object) : int_of(value->number);
        if (one == NULL)
            Py_CLEAR(said);
        else
            PyTuple_SET_ITEM(said, at, one);
    }
    PyObject *own = said != NULL ? PyUnicode_DecodeUTF8(name->bytes, name->used, NULL) : NULL;
    PyObject *found = own != NULL ? PyObject_CallFunctionObjArgs(program->scoped, own, said, NULL) : NULL;
    Py_ssize_t size;
    const char *text = found != NULL ? PyUnicode_AsUTF8AndSize(found, &size) : NULL;
    name->used = 0;
    int done = text == NULL || put_bytes(name, text, size) < 0 ? -1 : 1;
    Py_XDECREF(said);
    Py_XDECREF(own);
    Py_XDECREF(found);
    return done;
}

/* message_id and, where it has one, the record's own id, by the name that the former is hashed from. 0, or -1 with an exception set. */
static int put_ids(Buffer *out, const Mapper *self, const Buffer *own, const Buffer *name, char *message_id)
{
    Sha1 state = self->seed;
    uint8_t digest[20];
    sha1_read(&state, (const uint8_t *)name->bytes, (size_t)name->used);
    sha1_end(&state, digest);
    spell_uuid(digest, message_id);
    const PyObject *prefix = self->program->before;
    if (!self->program->identified)
        return put_text(out, message_id, 36);
    Py_ssize_t before = PyBytes_GET_SIZE(prefix);
    return put_text(out, message_id, 36) < 0 || put_long(out, before + own->used) < 0
                   || put_bytes(out, PyBytes_AS_STRING(prefix), before) < 0
                   || put_bytes(out, own->bytes, own->used) < 0 ? -1 : 0;
}

/* The pieces from `at` to before `end`. 1 written, 0 not plain, -1 with an exception set. */
static int put_pieces(Buffer *out, const Mapper *self, int at, int end, const Value *values)
{
    for (; at < end; at++) {
        int done = put_piece(out, self->program, self->pieces + at, values);
        if (done != 1)
            return done;
    }
    return 1;
}

/* Whether all of some numbers are zero, or null: the venue's word for nothing, of which the general mapper knows more. */
static int is_empty(const Program *program, const Value *values)
{
    for (int at = 0; at < program->empty_count; at++) {
        const Value *value = values + program->empty[at];
        if (value->object == NULL ? value->number != 0 : value->object != Py_None)
            return 0;
    }
    return program->empty_count > 0;
}

/* What readers have noted in the scope, NULL where that is nothing. 0, or -1 with an exception set. */
static int find_notes(const Given *given, PyObject **found)
{
    *found = given->asked ? PyObject_GetAttr(given->scope, notes) : NULL;
    if (*found != NULL && PyDict_CheckExact(*found) && PyDict_GET_SIZE(*found) == 0)
        Py_CLEAR(*found);
    if (*found != NULL && !PyDict_CheckExact(*found)) {
        PyErr_SetString(PyExc_TypeError, "notes are a dict");
        Py_CLEAR(*found);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* The record behind its ids into `out`, with the notes that are part of it. 1 written, 0 not plain, -1 with an exception
   set. */
static int put_body(Buffer *out, const Mapper *self, Given *given, Value *values, int *taken, PyObject **noted)
{
    const Program *program = self->program;
    for (; *taken < program->source_count; ++*taken)
        if (take(program->sources + *taken, given, values + *taken) < 0)
            return -1;
    const Value *time = values + program->time_at;
    if (time->object != NULL || time->number < 0 || !is_long(time->number))
        return 0;
    if (program->price_at >= 0) {
        const Value *price = values + program->price_at;
        if (price->object != NULL && price->object != Py_None)
            return 0;
    }
    if (is_empty(program, values))
        return 0;
    int done = put_pieces(out, self, 0, self->behind, values);
    if (done == 1 && find_notes(given, noted) < 0)
        done = -1;
    if (done == 1)
        done = put_vendor(out, self, given, *noted);
    return done == 1 ? put_pieces(out, self, self->behind, self->piece_count, values) : done;
}

/* What the record says, in short. 1 made, 0 not plain, -1 with an exception set. */
static int content_of(const Program *program, const Value *values, int timed, char *content)
{
    int64_t numbers[CONTENT_FIELDS];
    uint32_t words = 2166136261u;
    for (int at = 0; at < program->number_count; at++) {
        const Value *value = values + program->numbers[at];
        if (value->object != NULL && value->object != Py_None)
            return 0;
        numbers[at] = value->object == NULL ? (int64_t)value->number : 0; /* their low 64 bits */
    }
    for (int at = 0; at < program->word_count; at++) {
        const Value *value = values + program->words[at];
        char digits[20];
        Py_ssize_t size = 0;
        const char *text = digits;
        if (value->object == NULL) {
            if (!is_long(value->number))
                return 0;
            size = number_text((int64_t)value->number, digits);
        }
        else if (PyUnicode_CheckExact(value->object)) {
            text = PyUnicode_AsUTF8AndSize(value->object, &size);
            if (text == NULL)
                return -1;
        } else if (value->object != Py_None)
            return 0;
        words = hash_word(words, text, size);
    }
    uint16_t word = (uint16_t)(words & 0xffff);
    spell_content(timed ? (uint64_t)values[program->time_at].number : 0, hash_numbers(numbers, program->number_count),
                  program->word_count == 0 ? 0 : word != 0 ? word : 1, content);
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

/* A record that is made: its bytes, and what is known it by. */
typedef struct {
    PyObject *bytes; /* owned */
    char message_id[36], content[CONTENT_BYTES];
} Made;

/* A record on its way to the sink; NULL with an exception set. */
static PyObject *envelope_of(const Mapper *self, const Made *made, int64_t time, PyObject *moment)
{
    PyObject *sent[7] = {Py_NewRef(self->topic), Py_NewRef(self->symbol), Py_XNewRef(made->bytes),
                         Py_NewRef(self->program->schema), PyLong_FromLongLong(time / 1000), Py_NewRef(self->account),
                         Py_XNewRef(moment)};
    PyObject *found = tuple_of((PyTypeObject *)self->program->envelope, sent, 7);
    if (found != NULL)
        PyObject_GC_UnTrack(found); /* there are very many, and nothing that it has leads back to it */
    return found;
}

/* A record's price, or None; a new reference. NULL with an exception set. */
static PyObject *price_of(const Program *program, const Value *values)
{
    const Value *price = program->price_at < 0 ? NULL : values + program->price_at;
    return price == NULL || price->object != NULL ? Py_NewRef(Py_None) : int_of(price->number);
}

/* All that the caller of `make` is told of a record; NULL with an exception set. */
static PyObject *told(const Mapper *self, const Made *made, const Value *values, PyObject *scope)
{
    int64_t time = (int64_t)values[self->program->time_at].number;
    PyObject *moment = PyObject_GetAttr(scope, received_at);
    PyObject *parts[5] = {PyUnicode_DecodeASCII(made->message_id, 36, NULL), PyLong_FromLongLong(time),
                          price_of(self->program, values), envelope_of(self, made, time, moment),
                          PyBytes_FromStringAndSize(made->content, CONTENT_BYTES)};
    Py_XDECREF(moment);
    return tuple_of(&PyTuple_Type, parts, 5);
}

/* What Python readers have noted is forgotten: it is in the record. 0, or -1 with an exception set. */
static int forget_notes(PyObject *scope)
{
    PyObject *empty = PyDict_New();
    int done = empty != NULL ? PyObject_SetAttr(scope, notes, empty) : -1;
    Py_XDECREF(empty);
    return done;
}

/* What an item of which there is no record has left behind in the scope is forgotten, as if it had not been tried. 0, or -1
   with an exception set. */
static int forget_item(PyObject *scope)
{
    return forget_notes(scope) < 0 || PyObject_SetAttr(scope, unknown_sides, zero) < 0
                   || PyObject_SetAttr(scope, rounded, Py_None) < 0 ? -1 : 0;
}

/* The same while an exception is set, which stays. */
static void forget_failed(PyObject *scope)
{
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    if (forget_item(scope) < 0)
        PyErr_Clear();
    PyErr_Restore(type, error, trace);
}

/* The record whose values are these and whose body is behind its ids, of which `own` may be the venue's. 1 made, 0 not plain,
   -1 with an exception set. */
static int finish(const Mapper *self, Given *given, const Buffer *body, const Value *values, PyObject *noted, Made *found)
{
    const Program *program = self->program;
    Buffer own, name, head;
    buffer_open(&own);
    buffer_open(&name);
    buffer_open(&head);
    int timed = program->timed, has_own = program->identity.read != NULL;
    if (timed && noted != NULL)
        timed = PyDict_Contains(noted, program->time_source) ? 0 : 1;
    int done = PyErr_Occurred() ? -1 : content_of(program, values, timed, found->content);
    if (done == 1 && has_own)
        done = put_own_id(&own, program, given);
    if (done == 1)
        done = program->row_count ? put_row_id(&name, self, &own, values, given->scope)
                                  : put_bytes(&name, own.bytes, own.used) < 0 ? -1 : 1;
    if (done == 1 && !has_own && put_bytes(&own, name.bytes, name.used) < 0)
        done = -1;
    if (done == 1 && program->scoped != NULL)
        done = scope_id(&name, program, values);
    if (done == 1 && put_ids(&head, self, &own, &name, found->message_id) < 0)
        done = -1;
    if (done == 1 && noted != NULL && forget_notes(given->scope) < 0)
        done = -1;
    if (done == 1) {
        found->bytes = bytes_of(&head, body);
        done = found->bytes == NULL ? -1 : 1;
    }
    buffer_close(&own);
    buffer_close(&name);
    buffer_close(&head);
    return done;
}

static PyObject *mapper_make(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    const Mapper *self = (const Mapper *)object;
    if (count != 2 && count != 3) {
        PyErr_SetString(PyExc_TypeError, "a mapper takes an item, a scope, and values that are known already");
        return NULL;
    }
    PyObject *scope = arguments[1], *found = NULL, *noted = NULL;
    Given given = {.item = arguments[0], .scope = scope, .values = count == 3 ? arguments[2] : NULL,
                   .odd = self->program->odd};
    Buffer body;
    Value values[MOST];
    Made made = {0};
    int taken = 0;
    buffer_open(&body);
    int done = put_body(&body, self, &given, values, &taken, &noted);
    if (done == 1)
        done = finish(self, &given, &body, values, noted, &made);
    if (done == 1 && (found = told(self, &made, values, scope)) == NULL)
        done = -1;
    Py_XDECREF(made.bytes);
    if (done < 0 && PyErr_ExceptionMatches(self->program->unusual)) {
        PyErr_Clear();
        done = 0;
    }
    if (done < 0)
        forget_failed(scope);
    else if (done == 0 && (!given.asked || forget_item(scope) == 0))
        found = Py_NewRef(Py_None);
    while (taken)
        Py_XDECREF(values[--taken].object);
    Py_XDECREF(noted);
    forget_given(&given);
    buffer_close(&body);
    return found;
}

/* -- the program of a stream */

static void program_forget(Program *self)
{
    Py_CLEAR(self->before);
    Py_CLEAR(self->mapped);
    Py_CLEAR(self->spell);
    Py_CLEAR(self->unusual);
    Py_CLEAR(self->odd);
    Py_CLEAR(self->envelope);
    Py_CLEAR(self->schema);
    Py_CLEAR(self->time_source);
    Py_CLEAR(self->scoped);
    forget_source(&self->identity);
    for (int at = 0; at < self->source_count; at++)
        forget_source(self->sources + at);
    for (int at = 0; at < self->row_count; at++)
        Py_CLEAR(self->row[at].before);
    for (int at = 0; at < self->entry_count; at++) {
        forget_place(&self->entries[at].place);
        Py_CLEAR(self->entries[at].read);
        Py_CLEAR(self->entries[at].head);
        Py_CLEAR(self->entries[at].name);
    }
}

static int program_visit(PyObject *object, visitproc visit, void *arg)
{
    Program *self = (Program *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->mapped);
    Py_VISIT(self->spell);
    Py_VISIT(self->unusual);
    Py_VISIT(self->odd);
    Py_VISIT(self->envelope);
    Py_VISIT(self->schema);
    Py_VISIT(self->scoped);
    for (int at = -1; at < self->source_count; at++) {
        int stop = visit_source(at < 0 ? &self->identity : self->sources + at, visit, arg);
        if (stop)
            return stop;
    }
    for (int at = 0; at < self->entry_count; at++)
        Py_VISIT(self->entries[at].read);
    return 0;
}

static void program_end(PyObject *object)
{
    Program *self = (Program *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    program_forget(self);
    PyMem_Free(self->sources);
    PyMem_Free(self->entries);
    PyMem_Free(self->row);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Some of the sources by their numbers. How many, -1 with an exception set. */
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

static int read_parts(Program *self, PyObject *sources, PyObject *entries, PyObject *row)
{
    if (PyTuple_GET_SIZE(sources) > MOST || PyTuple_GET_SIZE(entries) > MOST || PyTuple_GET_SIZE(row) > MOST) {
        PyErr_SetString(PyExc_ValueError, "too many fields or entries");
        return -1;
    }
    /* One more of each: none is empty, and behind the last entry stands one that is no member. */
    self->sources = PyMem_Calloc((size_t)PyTuple_GET_SIZE(sources) + 1, sizeof(Source));
    self->entries = PyMem_Calloc((size_t)PyTuple_GET_SIZE(entries) + 1, sizeof(Entry));
    self->row = PyMem_Calloc((size_t)PyTuple_GET_SIZE(row) + 1, sizeof(RowPart));
    if (self->sources == NULL || self->entries == NULL || self->row == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    /* Each is counted when it is whole. */
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(sources); at++, self->source_count++)
        if (read_source(PyTuple_GET_ITEM(sources, at), self->sources + at) < 0)
            return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(entries); at++, self->entry_count++)
        if (read_entry(PyTuple_GET_ITEM(entries, at), self->entries + at) < 0)
            return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(row); at++, self->row_count++)
        if (read_row_part(PyTuple_GET_ITEM(row, at), self->row + at, self->source_count) < 0)
            return -1;
    if (self->identity.read == NULL && !self->row_count) {
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

/* Whether items can be mapped that are text, and by which keys. 0, or -1 with an exception set. */
static int read_keys(Program *self)
{
    PyObject *listed = PySequence_List(self->mapped);
    if (listed == NULL)
        return -1;
    self->of_text = PyList_GET_SIZE(listed) <= KEY_SLOTS / 2;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(listed) && self->of_text; at++) {
        Key key;
        PyObject *name = PyList_GET_ITEM(listed, at);
        key.text = PyUnicode_CheckExact(name) ? PyUnicode_AsUTF8AndSize(name, &key.size) : NULL;
        if (key.text == NULL) { /* no member has such a key, but it is not worth the care */
            PyErr_Clear();
            self->of_text = 0;
            break;
        }
        int slot = key_hash(key.text, key.size);
        while (self->keys[slot].text != NULL)
            slot = (slot + 1) % KEY_SLOTS;
        self->keys[slot] = key;
    }
    Py_DECREF(listed);
    return 0;
}

static PyObject *program_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"identity", "row", "before", "nullable", "sources", "entries", "keeps", "mapped", "time_at",
                            "price_at", "time_source", "scoped", "scope", "empty", "numbers", "words", "timed", "spell",
                            "unusual", "odd", "envelope", "schema", "identified", NULL};
    Program *self = (Program *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    PyObject *identity, *row, *before, *sources, *entries, *mapped, *time_source, *scoped, *scope, *empty, *numbers, *words;
    self->identified = 1;
    PyObject *spell, *unusual, *odd, *envelope, *schema;
    if (!PyArg_ParseTupleAndKeywords(
            arguments, keywords, "OO!SpO!O!pO!iiUOO!O!O!O!pOO!O!O!O|p", names, &identity, &PyTuple_Type, &row, &before,
            &self->nullable, &PyTuple_Type, &sources, &PyTuple_Type, &entries, &self->keeps, &PyFrozenSet_Type, &mapped,
            &self->time_at, &self->price_at, &time_source, &scoped, &PyTuple_Type, &scope, &PyTuple_Type, &empty,
            &PyTuple_Type, &numbers, &PyTuple_Type, &words, &self->timed, &spell, &PyTuple_Type, &unusual, &PyTuple_Type,
            &odd, &PyType_Type, &envelope, &schema, &self->identified)) {
        Py_DECREF(self);
        return NULL;
    }
    if (!PyType_IsSubtype((PyTypeObject *)envelope, &PyTuple_Type)
        || ((PyTypeObject *)envelope)->tp_basicsize != PyTuple_Type.tp_basicsize) {
        PyErr_SetString(PyExc_TypeError, "an envelope is a tuple and nothing more");
        Py_DECREF(self);
        return NULL;
    }
    self->before = Py_NewRef(before);
    self->mapped = Py_NewRef(mapped);
    self->spell = Py_NewRef(spell);
    self->unusual = Py_NewRef(unusual);
    self->odd = Py_NewRef(odd);
    self->envelope = Py_NewRef(envelope);
    self->schema = Py_NewRef(schema);
    self->time_source = Py_NewRef(time_source);
    self->scoped = or_null(scoped);
    if ((identity != Py_None && read_source(identity, &self->identity) < 0)
        || read_parts(self, sources, entries, row) < 0
        || (self->number_count = read_places(numbers, self->numbers, self->source_count)) < 0
        || (self->word_count = read_places(words, self->words, self->source_count)) < 0
        || (self->empty_count = read_places(empty, self->empty, self->source_count)) < 0
        || (self->scope_count = read_places(scope, self->scope, self->source_count)) < 0 || read_keys(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMemberDef program_members[] = {
    {"of_text", T_BOOL, offsetof(Program, of_text), READONLY, "whether items can be mapped that are text"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot program_slots[] = {
    {Py_tp_doc, "How the items of one stream become records."},
    {Py_tp_members, program_members},
    {Py_tp_new, program_new},
    {Py_tp_traverse, program_visit},
    {Py_tp_clear, clear_later},
    {Py_tp_dealloc, program_end},
    {0, NULL},
};

static PyType_Spec program_spec = {
    .name = "k2conn.native.mapper.Program",
    .basicsize = sizeof(Program),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = program_slots,
};

/* -- the mapper of a symbol */

static int mapper_visit(PyObject *object, visitproc visit, void *arg)
{
    Mapper *self = (Mapper *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->program);
    Py_VISIT(self->names);
    Py_VISIT(self->account);
    Py_VISIT(self->numbered);
    for (int at = 0; at < self->piece_count; at++)
        Py_VISIT(self->pieces[at].given);
    return 0;
}

static int mapper_clear(PyObject *object)
{
    Mapper *self = (Mapper *)object;
    Py_CLEAR(self->account);
    Py_CLEAR(self->numbered);
    return 0;
}

static void mapper_end(PyObject *object)
{
    Mapper *self = (Mapper *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    mapper_clear(object);
    Py_CLEAR(self->program);
    Py_CLEAR(self->opening);
    Py_CLEAR(self->names);
    Py_CLEAR(self->topic);
    Py_CLEAR(self->symbol);
    for (int at = 0; at < self->piece_count; at++)
        Py_CLEAR(self->pieces[at].given);
    PyMem_Free(self->pieces);
    type->tp_free(object);
    Py_DECREF(type);
}

static int read_pieces(Mapper *self, PyObject *pieces)
{
    Py_ssize_t count = PyTuple_GET_SIZE(pieces);
    if (count > MOST || self->behind < 0 || self->behind > count) {
        PyErr_SetString(PyExc_ValueError, "too many pieces, or more of them before vendor_data than there are");
        return -1;
    }
    self->pieces = PyMem_Calloc((size_t)count + 1, sizeof(Piece));
    if (self->pieces == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; self->piece_count < count; self->piece_count++)
        if (read_piece(PyTuple_GET_ITEM(pieces, self->piece_count), self->pieces + self->piece_count,
                       self->program->source_count) < 0)
            return -1;
    return 0;
}

static PyObject *mapper_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"program", "seed", "numbered", "opening", "opened", "names", "pieces", "behind", "topic",
                            "symbol", "account", NULL};
    Mapper *self = (Mapper *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    PyObject *program, *seed, *numbered, *opening, *known, *pieces, *topic, *symbol, *account;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OSOSiO!O!iOOO", names, &program, &seed, &numbered, &opening,
                                     &self->opened, &PyFrozenSet_Type, &known, &PyTuple_Type, &pieces, &self->behind,
                                     &topic, &symbol, &account)) {
        Py_DECREF(self);
        return NULL;
    }
    if (Py_TYPE(program)->tp_dealloc != program_end || self->opened < 0 || self->opened >= MOST) {
        PyErr_SetString(PyExc_TypeError, "a mapper is made of a program, with few entries of its own");
        Py_DECREF(self);
        return NULL;
    }
    self->program = (Program *)Py_NewRef(program);
    self->opening = Py_NewRef(opening);
    self->names = Py_NewRef(known);
    self->topic = Py_NewRef(topic);
    self->symbol = Py_NewRef(symbol);
    self->account = Py_NewRef(account);
    self->numbered = Py_NewRef(numbered);
    sha1_open(&self->seed);
    sha1_read(&self->seed, (const uint8_t *)PyBytes_AS_STRING(seed), (size_t)PyBytes_GET_SIZE(seed));
    if (read_pieces(self, pieces) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef mapper_methods[] = {
    {"make", (PyCFunction)(void (*)(void))mapper_make, METH_FASTCALL,
     "(item, scope[, values]) -> (message_id, event_us, price, envelope, content), or None where the general mapper must "
     "decide."},
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

#include "frame_mapper.h"

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.mapper", .m_doc = "Maps items to records in C.", .m_size = -1,
};

/* Adds a type to the module. 0, or -1 with an exception set. */
static int add_type(PyObject *to, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int done = type != NULL ? PyModule_AddObjectRef(to, name, type) : -1;
    Py_XDECREF(type);
    return done;
}

PyMODINIT_FUNC PyInit_mapper(void)
{
    fill_powers();
    sha1_choose();
    if (name_roots() < 0)
        return NULL;
    static const Word words[] = {{&received_at, "received_at"}, {&notes, "notes"}, {&unknown_sides, "unknown_sides"},
                                 {&rounded, "rounded"}, {&word_received, "received"}, {&scope_symbol, "symbol"}};
    zero = PyLong_FromLong(0);
    if (make_words(words, sizeof words / sizeof *words) < 0 || name_attributes() < 0)
        return NULL;
    PyObject *decimal = PyImport_ImportModule("decimal");
    decimal_type = decimal != NULL ? PyObject_GetAttrString(decimal, "Decimal") : NULL;
    Py_XDECREF(decimal);
    if (zero == NULL || decimal_type == NULL)
        return NULL;
    PyObject *found = PyModule_Create(&module);
    if (found == NULL || PyModule_AddIntConstant(found, "MOST_DIGITS", MOST_DIGITS) < 0
        || add_type(found, "Carried", &carried_spec) < 0 || add_type(found, "Program", &program_spec) < 0
        || add_type(found, "Mapper", &mapper_spec) < 0 || add_type(found, "FrameMapper", &frame_mapper_spec) < 0) {
        Py_XDECREF(found);
        return NULL;
    }
    return found;
}
