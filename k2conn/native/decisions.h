/* Decisions that depend on a few values of a message, or of an item, and are Python's: which stream a message belongs to,
   whether an item is one that is dropped.

   A decision knows the values that it depends on (its *leaves*). What counts of them, one behind the other, is a key; for a
   key that is new Python is asked, with the texts of message and item, and its answer, a whole number, is remembered. So
   Python's conditions are run a few times for each kind of message, and never again.
   Bounds: LEAVES, KEYS that are remembered, LONGEST_LEAF. */
#ifndef K2CONN_DECISIONS_H
#define K2CONN_DECISIONS_H

#include "buffer.h"
#include "json_paths.h"

#define LEAVES 64
#define KEYS 2000
#define LONGEST_LEAF 200 /* bytes of a text that counts; with a longer one nothing is decided */

typedef struct {
    Place place;
    int presence;     /* 1: it only counts that something is there; 2: be it null; 3: where it is, nothing is decided here;
                         4: every text and number counts; 5: of which kind it is, and whether it is empty */
    PyObject *wanted; /* a frozenset of the values that count, all others only as true or not; NULL where all count */
    PyObject *affixes; /* a tuple of (bytes, whether at the end): all that counts of a text is whether it has them; or NULL */
} Leaf;

typedef struct {
    Leaf *leaves;
    int count;
    PyObject *ask;      /* owned: (text of the message, text of the item) -> the answer */
    PyObject *known;    /* owned: a dict from keys to answers */
    PyObject *last_key; /* owned: the one before; and its answer */
    long last;
} Decision;

/* Which beginnings and ends a text has. 1 is done, -1 is an exception. */
static int put_affixes(Buffer *key, const Leaf *leaf, const char *text, Py_ssize_t size)
{
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(leaf->affixes); at++) {
        PyObject *pair = PyTuple_GET_ITEM(leaf->affixes, at), *affix = PyTuple_GET_ITEM(pair, 0);
        Py_ssize_t length = PyBytes_GET_SIZE(affix), from = PyTuple_GET_ITEM(pair, 1) == Py_True ? size - length : 0;
        int has = length <= size && memcmp(text + from, PyBytes_AS_STRING(affix), (size_t)length) == 0;
        if (put_bytes(key, has ? "<" : ">", 1) < 0)
            return -1;
    }
    return 1;
}

/* What counts of the value at a leaf, into the key of a route. */
static int put_leaf(Buffer *key, const Leaf *leaf, const Given *given)
{
    int at = node_at(&leaf->place, given);
    const JsonNode *node = at != NOWHERE ? given->json->nodes + at : NULL;
    if (node != NULL && leaf->presence == 5) {
        char kind[] = {(char)('0' + node->kind), json_is_true(given->json, at) ? 'y' : 'n'};
        return put_bytes(key, kind, 2) < 0 ? -1 : 1;
    }
    if (node == NULL || (node->kind == JSON_NULL && leaf->presence < 2)) /* also null is there, for the latter two */
        return put_bytes(key, "-", 1) < 0 ? -1 : 1;
    if (leaf->presence == 3)
        return 0;
    if (leaf->presence && leaf->presence < 4)
        return put_bytes(key, "+", 1) < 0 ? -1 : 1;
    if (leaf->affixes != NULL)
        return node->kind != JSON_STRING ? 0 : put_affixes(key, leaf, given->json->text + node->start, node->size);
    int counts = node->kind == JSON_STRING || node->kind == JSON_FALSE || node->kind == JSON_TRUE;
    if (leaf->presence == 4)
        counts = node->kind < JSON_LIST;
    if (leaf->wanted != NULL) {
        counts = 0;
        if (node->kind < JSON_LIST) {
            PyObject *value = object_of(given, at);
            counts = value != NULL ? PySet_Contains(leaf->wanted, value) : -1;
            Py_XDECREF(value);
            if (counts < 0)
                return -1;
        }
        if (!counts)
            return put_bytes(key, json_is_true(given->json, at) ? "y" : "n", 1) < 0 ? -1 : 1;
    }
    if (!counts || node->size > LONGEST_LEAF)
        return 0;
    char kind = (char)('0' + node->kind);
    return put_bytes(key, &kind, 1) < 0 || put_text(key, given->json->text + node->start, node->size) < 0 ? -1 : 1;
}

/* Asks Python, and remembers it. 1, or -1 with an exception set. */
static int ask_for(Decision *self, const Given *given, PyObject *key, long *found)
{
    PyObject *message = text_of_node(given, given->top), *item = message != NULL ? text_of_node(given, given->node) : NULL;
    PyObject *answer = item != NULL ? PyObject_CallFunctionObjArgs(self->ask, message, item, NULL) : NULL;
    Py_XDECREF(message);
    Py_XDECREF(item);
    *found = answer != NULL ? PyLong_AsLong(answer) : -1;
    int done = answer == NULL || (*found == -1 && PyErr_Occurred()) ? -1 : 1;
    if (done == 1 && PyDict_GET_SIZE(self->known) < KEYS && PyDict_SetItem(self->known, key, answer) < 0)
        done = -1;
    Py_XDECREF(answer);
    return done;
}

/* The answer for the message and the item that `given` is at. 1 is done, 0 is not plain, -1 is an exception. */
static int decide(Decision *self, const Given *given, long *found)
{
    Buffer key;
    int done = 1;
    buffer_open(&key);
    for (int at = 0; done == 1 && at < self->count; at++)
        done = put_leaf(&key, self->leaves + at, given);
    if (done == 1 && self->last_key != NULL && PyBytes_GET_SIZE(self->last_key) == key.used
        && memcmp(PyBytes_AS_STRING(self->last_key), key.bytes, (size_t)key.used) == 0) {
        *found = self->last;
    } else if (done == 1) {
        PyObject *bytes = PyBytes_FromStringAndSize(key.bytes, key.used);
        PyObject *known = bytes != NULL ? PyDict_GetItemWithError(self->known, bytes) : NULL;
        if (known != NULL)
            *found = PyLong_AsLong(known);
        else
            done = PyErr_Occurred() ? -1 : ask_for(self, given, bytes, found);
        if (done == 1) {
            Py_XSETREF(self->last_key, Py_NewRef(bytes));
            self->last = *found;
        }
        Py_XDECREF(bytes);
    }
    buffer_close(&key);
    return done;
}

/* -- making one */

/* A place of text, which may be None where that is allowed. 0, or -1 with an exception set and nothing owned. */
static int read_text_place(PyObject *given, int needed, Place *place)
{
    if (read_place(given, place) < 0)
        return -1;
    if (is_of_text(place) || (!needed && !place->count))
        return 0;
    forget_place(place);
    PyErr_SetString(PyExc_ValueError, "such a path does not lead into a text");
    return -1;
}

static void forget_leaf(Leaf *leaf)
{
    forget_place(&leaf->place);
    Py_CLEAR(leaf->wanted);
    Py_CLEAR(leaf->affixes);
}

static int are_affixes(PyObject *given)
{
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(given); at++) {
        PyObject *pair = PyTuple_GET_ITEM(given, at);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 0))
            || !PyBool_Check(PyTuple_GET_ITEM(pair, 1)))
            return 0;
    }
    return 1;
}

/* A leaf of (place, 0 to 5, frozenset or None, affixes). 0, or -1 with an exception set and nothing owned. */
static int read_text_leaf(PyObject *given, Leaf *leaf)
{
    PyObject *place, *wanted, *affixes;
    if (!PyArg_ParseTuple(given, "OiOO!", &place, &leaf->presence, &wanted, &PyTuple_Type, &affixes)
        || read_text_place(place, 1, &leaf->place) < 0)
        return -1;
    leaf->wanted = wanted != Py_None ? Py_NewRef(wanted) : NULL;
    leaf->affixes = PyTuple_GET_SIZE(affixes) ? Py_NewRef(affixes) : NULL;
    if ((leaf->wanted == NULL || PyFrozenSet_CheckExact(wanted)) && are_affixes(affixes))
        return 0;
    forget_leaf(leaf);
    PyErr_SetString(PyExc_TypeError, "a leaf has a frozenset or None, and pairs of bytes and bool");
    return -1;
}

static int visit_decision(const Decision *self, visitproc visit, void *arg)
{
    Py_VISIT(self->ask);
    return 0;
}

static void forget_decision(Decision *self)
{
    for (; self->count; self->count--)
        forget_leaf(self->leaves + self->count - 1);
    PyMem_Free(self->leaves);
    self->leaves = NULL;
    Py_CLEAR(self->ask);
    Py_CLEAR(self->known);
    Py_CLEAR(self->last_key);
}

/* A decision of (leaves, ask). 0, or -1 with an exception set and nothing owned. */
static int read_decision(PyObject *given, Decision *self)
{
    PyObject *leaves, *ask;
    *self = (Decision){0};
    if (!PyArg_ParseTuple(given, "O!O", &PyTuple_Type, &leaves, &ask))
        return -1;
    Py_ssize_t size = PyTuple_GET_SIZE(leaves);
    if (size > LEAVES) {
        PyErr_SetString(PyExc_ValueError, "too many leaves");
        return -1;
    }
    self->leaves = PyMem_Calloc((size_t)size + 1, sizeof(Leaf));
    self->known = PyDict_New();
    self->ask = Py_NewRef(ask);
    int done = self->leaves != NULL && self->known != NULL ? 0 : -1;
    if (done < 0 && !PyErr_Occurred())
        PyErr_NoMemory();
    for (; done == 0 && self->count < size; self->count += done == 0)
        done = read_text_leaf(PyTuple_GET_ITEM(leaves, self->count), self->leaves + self->count);
    if (done < 0)
        forget_decision(self);
    return done;
}

#endif
