/* The records of a Kafka batch (version 2): see `k2conn.sinks.kafka.record_batches`.

   `packed` goes once over envelopes, which are tuples whose key, value, schema and time stand where `KEY` and the others
   say, and appends each as a record to one buffer: lengths, the time and the number as differences from the first
   record's, the key, what goes before a value of its schema, the value. It stops before the record with which the batch
   would be larger than it may be, but takes one in any case. What is not of the kind that it must be raises TypeError;
   a schema that is not known, KeyError. Nothing is kept from one call to the next.

   `measured`, `moved`, `counted` and `durations` are what else is done with every envelope of a read or a batch: adding up,
   sorting by key, the books of what is durable. Each goes once over a list, and does nothing that the Python beside it does
   not.

   `crc32c` is the checksum of a batch, by the processor's own instruction where there is one. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "growing.h"

enum { TOPIC, KEY, VALUE, SCHEMA, STAMP, ACCOUNT, RECEIVED, WHOLE, LEAST = ACCOUNT };
enum { NUMBER = 10, BATCH_HEAD = 61 }; /* bytes: at most of a number, of what goes before a batch's records */

static char *put_number(char *out, int64_t value)
{
    uint64_t rest = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; rest > 0x7f; rest >>= 7)
        *out++ = (char)(rest | 0x80);
    *out++ = (char)rest;
    return out;
}

static int number_size(int64_t value)
{
    char number[NUMBER];
    return (int)(put_number(number, value) - number);
}

/* The time of an envelope within its bounds: -1 with an exception set where it is no number. */
static int64_t stamp_of(PyObject *given, int64_t latest)
{
    int beyond;
    long long stamp = PyLong_AsLongLongAndOverflow(given, &beyond);
    if (beyond)
        return beyond < 0 ? 0 : latest;
    if (stamp == -1 && PyErr_Occurred())
        return -1;
    return stamp < 0 ? 0 : stamp > latest ? latest : stamp;
}

typedef struct {
    Growing bytes;
    int64_t first, latest; /* the first record's time, the latest of all */
    Py_ssize_t count;
} Records;

/* Appends one record where there is room for it: 1, 0 where there is none, -1 with an exception set. */
static int append(Records *to, PyObject *envelope, PyObject *head, int64_t stamp, Py_ssize_t most)
{
    PyObject *key = PyTuple_GET_ITEM(envelope, KEY), *value = PyTuple_GET_ITEM(envelope, VALUE);
    if ((key != Py_None && !PyBytes_CheckExact(key)) || !PyBytes_CheckExact(value) || !PyBytes_CheckExact(head)) {
        PyErr_SetString(PyExc_TypeError, "keys, values and what goes before them are bytes");
        return -1;
    }
    Py_ssize_t key_size = key == Py_None ? 0 : PyBytes_GET_SIZE(key), head_size = PyBytes_GET_SIZE(head);
    Py_ssize_t value_size = head_size + PyBytes_GET_SIZE(value);
    int64_t since = to->count ? stamp - to->first : 0, named = key == Py_None ? -1 : key_size;
    Py_ssize_t size = 1 + number_size(since) + number_size(to->count) + number_size(named) + key_size
                    + number_size(value_size) + value_size + 1;
    Py_ssize_t all = number_size(size) + size;
    if (to->count && (Py_ssize_t)to->bytes.used + BATCH_HEAD + all >= most)
        return 0;
    if (room(&to->bytes, (size_t)all) != DONE) {
        PyErr_NoMemory();
        return -1;
    }
    char *out = put_number(to->bytes.bytes + to->bytes.used, size);
    *out++ = 0; /* no attributes */
    out = put_number(put_number(put_number(out, since), to->count), named);
    if (key_size)
        memcpy(out, PyBytes_AS_STRING(key), (size_t)key_size);
    out = put_number(out + key_size, value_size);
    memcpy(out, PyBytes_AS_STRING(head), (size_t)head_size);
    memcpy(out + head_size, PyBytes_AS_STRING(value), (size_t)(value_size - head_size));
    out[value_size] = 0; /* no headers */
    to->bytes.used += (size_t)all;
    if (!to->count)
        to->first = to->latest = stamp;
    else if (stamp > to->latest)
        to->latest = stamp;
    to->count++;
    return 1;
}

static int append_all(Records *to, PyObject *envelopes, PyObject *heads, Py_ssize_t most, int64_t latest)
{
    PyObject *schema = NULL, *head = NULL; /* of the record before, which nearly always has the same */
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(envelopes) && at < INT32_MAX; at++) {
        PyObject *envelope = PyList_GET_ITEM(envelopes, at);
        if (!PyTuple_Check(envelope) || PyTuple_GET_SIZE(envelope) < LEAST) {
            PyErr_SetString(PyExc_TypeError, "an envelope is a tuple");
            return -1;
        }
        if (PyTuple_GET_ITEM(envelope, SCHEMA) != schema) {
            schema = PyTuple_GET_ITEM(envelope, SCHEMA);
            head = PyDict_GetItemWithError(heads, schema);
            if (head == NULL) {
                if (!PyErr_Occurred())
                    PyErr_SetObject(PyExc_KeyError, schema);
                return -1;
            }
        }
        int64_t stamp = stamp_of(PyTuple_GET_ITEM(envelope, STAMP), latest);
        int done = stamp < 0 ? -1 : append(to, envelope, head, stamp, most);
        if (done <= 0)
            return done;
    }
    return 0;
}

static PyObject *packed(PyObject *module, PyObject *arguments)
{
    PyObject *envelopes, *heads, *made = NULL;
    Py_ssize_t most;
    long long latest;
    Records records = {{NULL, 0, 0}, 0, 0, 0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!O!nL", &PyList_Type, &envelopes, &PyDict_Type, &heads, &most, &latest))
        return NULL;
    if (latest < 0) {
        PyErr_SetString(PyExc_ValueError, "the latest time is before 1970");
        return NULL;
    }
    if (append_all(&records, envelopes, heads, most, latest) == 0)
        made = Py_BuildValue("y#nLL", records.bytes.bytes ? records.bytes.bytes : "", (Py_ssize_t)records.bytes.used,
                             records.count, (long long)records.first, (long long)records.latest);
    let_go(&records.bytes);
    return made;
}

/* ---- envelopes by the list */

/* One envelope of a list, borrowed; NULL with an exception set. */
static PyObject *envelope_at(PyObject *envelopes, Py_ssize_t at)
{
    PyObject *envelope = PyList_GET_ITEM(envelopes, at);
    if (PyTuple_Check(envelope) && PyTuple_GET_SIZE(envelope) == WHOLE && PyBytes_CheckExact(PyTuple_GET_ITEM(envelope, VALUE)))
        return envelope;
    PyErr_SetString(PyExc_TypeError, "an envelope is a tuple of seven, its value bytes");
    return NULL;
}

static int is_list(PyObject *given)
{
    if (PyList_CheckExact(given))
        return 1;
    PyErr_SetString(PyExc_TypeError, "envelopes are a list");
    return 0;
}

static PyObject *measured(PyObject *module, PyObject *envelopes)
{
    (void)module;
    PyObject *topic = NULL, *envelope;
    Py_ssize_t bytes = 0;
    if (!is_list(envelopes))
        return NULL;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(envelopes); at++) {
        if ((envelope = envelope_at(envelopes, at)) == NULL)
            return NULL;
        bytes += PyBytes_GET_SIZE(PyTuple_GET_ITEM(envelope, VALUE));
        topic = !at || topic == PyTuple_GET_ITEM(envelope, TOPIC) ? PyTuple_GET_ITEM(envelope, TOPIC) : Py_None;
    }
    return Py_BuildValue("On", topic != NULL ? topic : Py_None, bytes);
}

static PyObject *moved(PyObject *module, PyObject *arguments)
{
    PyObject *envelopes, *heads, *queues, *envelope, *schema = NULL, *key = NULL, *queue = NULL;
    Py_ssize_t at, largest;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!nO!O!n", &PyList_Type, &envelopes, &at, &PyDict_Type, &heads, &PyDict_Type, &queues,
                          &largest))
        return NULL;
    for (; at >= 0 && at < PyList_GET_SIZE(envelopes); at++) {
        if ((envelope = envelope_at(envelopes, at)) == NULL)
            return NULL;
        if (PyTuple_GET_ITEM(envelope, SCHEMA) != schema) {
            schema = PyTuple_GET_ITEM(envelope, SCHEMA);
            if (PyDict_GetItemWithError(heads, schema) == NULL)
                break;
        }
        if (PyTuple_GET_ITEM(envelope, KEY) != key || queue == NULL) {
            key = PyTuple_GET_ITEM(envelope, KEY);
            queue = PyDict_GetItemWithError(queues, key);
            if (queue == NULL || !PyList_CheckExact(queue))
                break;
        }
        if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(envelope, VALUE)) > largest)
            break;
        if (PyList_Append(queue, envelope) < 0)
            return NULL;
    }
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(at);
}

/* One more of what has such a schema and account. 0, or -1 with an exception set. */
static int count_one(PyObject *counts, PyObject *pair, Py_ssize_t more)
{
    PyObject *before = PyDict_GetItemWithError(counts, pair);
    if (before == NULL && PyErr_Occurred())
        return -1;
    PyObject *now = PyLong_FromSsize_t((before != NULL ? PyLong_AsSsize_t(before) : 0) + more);
    int done = now != NULL ? PyDict_SetItem(counts, pair, now) : -1;
    Py_XDECREF(now);
    return done;
}

enum { PAIRS = 64 }; /* that are counted beside each other; more of them go into the dict one by one */

static PyObject *counted(PyObject *module, PyObject *envelopes)
{
    struct {
        PyObject *schema, *account;
        Py_ssize_t count;
    } pairs[PAIRS];
    int known = 0, done = 0;
    (void)module;
    PyObject *counts = is_list(envelopes) ? PyDict_New() : NULL, *envelope;
    for (Py_ssize_t at = 0; counts != NULL && done == 0 && at < PyList_GET_SIZE(envelopes); at++) {
        if ((envelope = envelope_at(envelopes, at)) == NULL) {
            done = -1;
            break;
        }
        PyObject *schema = PyTuple_GET_ITEM(envelope, SCHEMA), *account = PyTuple_GET_ITEM(envelope, ACCOUNT);
        int pair = 0;
        while (pair < known && (pairs[pair].schema != schema || pairs[pair].account != account))
            pair++;
        if (pair == known && known < PAIRS) {
            pairs[known].schema = schema;
            pairs[known].account = account;
            pairs[known++].count = 0;
        }
        if (pair < PAIRS) {
            pairs[pair].count++;
        } else {
            PyObject *key = PyTuple_Pack(2, schema, account);
            done = key != NULL ? count_one(counts, key, 1) : -1;
            Py_XDECREF(key);
        }
    }
    for (int pair = 0; counts != NULL && done == 0 && pair < known; pair++) {
        PyObject *key = PyTuple_Pack(2, pairs[pair].schema, pairs[pair].account);
        done = key != NULL ? count_one(counts, key, pairs[pair].count) : -1;
        Py_XDECREF(key);
    }
    if (done < 0)
        Py_CLEAR(counts);
    return counts;
}

enum { BOUNDS = 32 };

typedef struct {
    Py_ssize_t counts[BOUNDS + 1];
    int64_t sum;
} Histogram;

static void observe(Histogram *to, const int64_t *bounds, int count, int64_t duration)
{
    int step = 0;
    while (step < count && bounds[step] < duration)
        step++;
    to->counts[step]++;
    to->sum += duration > 0 ? duration : 0;
}

static PyObject *told(const Histogram *histogram, int count)
{
    PyObject *counts = PyList_New(count + 1);
    for (int step = 0; counts != NULL && step <= count; step++) {
        PyObject *one = PyLong_FromSsize_t(histogram->counts[step]);
        if (one == NULL)
            Py_CLEAR(counts);
        else
            PyList_SET_ITEM(counts, step, one);
    }
    PyObject *found = counts != NULL ? Py_BuildValue("OL", counts, (long long)histogram->sum) : NULL;
    Py_XDECREF(counts);
    return found;
}

static PyObject *durations(PyObject *module, PyObject *arguments)
{
    PyObject *envelopes, *given, *envelope;
    long long now;
    int64_t bounds[BOUNDS];
    Histogram receipt = {{0}, 0}, exchange = {{0}, 0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!LO!", &PyList_Type, &envelopes, &now, &PyTuple_Type, &given))
        return NULL;
    int count = (int)PyTuple_GET_SIZE(given);
    if (PyTuple_GET_SIZE(given) > BOUNDS) {
        PyErr_SetString(PyExc_ValueError, "too many bounds");
        return NULL;
    }
    for (int at = 0; at < count; at++)
        bounds[at] = PyLong_AsLongLong(PyTuple_GET_ITEM(given, at));
    for (Py_ssize_t at = 0; !PyErr_Occurred() && at < PyList_GET_SIZE(envelopes); at++) {
        if ((envelope = envelope_at(envelopes, at)) == NULL)
            return NULL;
        int beyond = 0, beyond_too = 0;
        long long received = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(envelope, RECEIVED), &beyond);
        long long stamp = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(envelope, STAMP), &beyond_too);
        if (beyond || beyond_too || stamp > INT64_MAX / 4000 || stamp < INT64_MIN / 4000) { /* no time at all */
            PyErr_SetString(PyExc_OverflowError, "a time has 64 bits");
            return NULL;
        }
        if (received) {
            observe(&receipt, bounds, count, now - received);
            observe(&exchange, bounds, count, now - stamp * 1000);
        }
    }
    PyObject *first = PyErr_Occurred() ? NULL : told(&receipt, count), *second = first != NULL ? told(&exchange, count) : NULL;
    PyObject *found = second != NULL ? PyTuple_Pack(2, first, second) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return found;
}

/* ---- the checksum (Castagnoli's polynomial) */

static uint32_t table[256];

static uint32_t crc_by_table(uint32_t crc, const uint8_t *bytes, size_t size)
{
    while (size--)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 0xff];
    return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__) && __clang_major__ >= 14 /* gives the instruction a name of its own */
#define WITH_CRC __attribute__((target("sse4.2,crc32")))
#else
#define WITH_CRC __attribute__((target("sse4.2")))
#endif

WITH_CRC static uint32_t crc_by_processor(uint32_t crc, const uint8_t *bytes, size_t size)
{
    uint64_t value = crc, word;
    for (; size >= 8; bytes += 8, size -= 8) {
        memcpy(&word, bytes, 8);
        value = __builtin_ia32_crc32di(value, word);
    }
    for (; size; bytes++, size--)
        value = __builtin_ia32_crc32qi((uint32_t)value, *bytes);
    return (uint32_t)value;
}
#endif

static PyObject *crc32c(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyBytes_CheckExact(given)) {
        PyErr_SetString(PyExc_TypeError, "a checksum is of bytes");
        return NULL;
    }
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(given);
    size_t size = (size_t)PyBytes_GET_SIZE(given);
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("sse4.2"))
        return PyLong_FromUnsignedLong(~crc_by_processor(~0u, bytes, size) & 0xffffffffu);
#endif
    return PyLong_FromUnsignedLong(~crc_by_table(~0u, bytes, size) & 0xffffffffu);
}

static PyObject *crc32c_by_table(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyBytes_CheckExact(given)) {
        PyErr_SetString(PyExc_TypeError, "a checksum is of bytes");
        return NULL;
    }
    uint32_t crc = crc_by_table(~0u, (const uint8_t *)PyBytes_AS_STRING(given), (size_t)PyBytes_GET_SIZE(given));
    return PyLong_FromUnsignedLong(~crc & 0xffffffffu);
}

static PyMethodDef methods[] = {
    {"packed", packed, METH_VARARGS,
     "packed(envelopes, heads, most, latest): (records, how many, the first one's time, the latest of all)."},
    {"measured", measured, METH_O, "measured(envelopes): the topic of all of them, or None, and the bytes of their values."},
    {"moved", moved, METH_VARARGS,
     "moved(envelopes, from, heads, lists by key, largest): appends each to its key's list, up to the first whose schema or"
     " key is not known, or whose value is larger; returns where that is."},
    {"counted", counted, METH_O, "counted(envelopes): how many there are, by schema and account."},
    {"durations", durations, METH_VARARGS,
     "durations(envelopes, now, bounds): the histograms, by step, and the sums of how long they took since receipt, and since"
     " the exchange's time; of those whose receipt is known."},
    {"crc32c", crc32c, METH_O, "crc32c(bytes): their checksum."},
    {"crc32c_by_table", crc32c_by_table, METH_O, "The same, as a processor without an instruction for it does it."},
    {NULL, NULL, 0, NULL},
};

static int prepare(PyObject *module)
{
    (void)module;
    for (uint32_t at = 0; at < 256; at++) {
        uint32_t value = at;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
        table[at] = value;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.record_batch", .m_doc = "Records of a Kafka batch.", .m_size = 0,
    .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_record_batch(void)
{
    return PyModuleDef_Init(&module);
}
