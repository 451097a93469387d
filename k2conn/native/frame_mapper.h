/* From the text of frames to records: for frames that are plain JSON (json_text.h) and messages whose rules need nothing
   but plain paths, what `k2conn.engine.frame_pipeline` does with the decoder, the router, the stream's mapping and the
   duplicate window, without making Python's objects of what the frame says.

   A FrameMapper belongs to one connection. Python (`k2conn.engine.plain_frames`) describes to it what the route of a
   message depends on, and each stream that it can map (a *flow*): where its items are, their symbol, their number, what
   decides which of them are dropped. It asks Python once for each decision (decisions.h) and for each symbol (`enter`), and
   remembers the answer. Of what it must not decide (a record that came before, or with other content) it tells the flow's
   `odd`. A value that only a Python reader knows costs the message's objects, which `unfold` makes of its text, once, and
   the reader; all others of the record are still read of the text.

   `take` goes through frames from one on until it meets what is not plain, and says where that is: frame and item. What came
   before is in the list of envelopes, in the duplicate window, and in the accounts; of the item itself nothing is anywhere.
   Whoever called does it the general way and calls again behind it. The books of one call are kept here by symbol and
   written into the accounts at its end, or before Python is asked for anything that might look at them.

   It runs with the interpreter's lock all the time, and is not entered again: `take` from what it calls is refused.
   Bounds: FLOWS, SYMBOLS of a flow, TOUCHED tallies until they are booked. */
#ifndef K2CONN_FRAME_MAPPER_H
#define K2CONN_FRAME_MAPPER_H

#include "item_forms.h"

#define FLOWS 64
#define LARGEST_NUMBER 1000000000000000000 /* of a record; one beyond is looked at with care */
#define SYMBOLS 20000
#define NAMES 60000 /* of them, and of what they are known by */
#define TOUCHED 64

/* What is known of a symbol on a flow, and what is not yet in its account. */
typedef struct {
    PyObject *mapper, *context, *account, *symbol; /* owned; the last is the scope's while a record is made */
    PyObject *latest;  /* owned: of what keeps its last value, the values as they are and as the latest record has them */
    int64_t received, filtered, event;
    PyObject *price;   /* owned: of the latest record; NULL where none is to be booked */
    PyObject *numbers; /* owned: the state of the symbol's numbers, with something to book; or NULL */
    int64_t last;      /* ... the latest of them */
} Tally;

typedef struct {
    Items forms[FORMS];                       /* where its items may be: the route says which of them counts */
    int form_count;
    Place symbol, number;                     /* nowhere: all of a connection is of one symbol; there is no number */
    Decision drop;                            /* 1: the item is no record; without leaves all are some */
    int whole;                                /* whether a symbol may be a whole number as well as a text */
    Carried *carried;                         /* owned: what moves the fields that keep their last value; or NULL */
    int changes_only;                         /* ... and whether there is a record only where one of them is another */
    PyObject *enter, *odd, *unfold, *mapping, *window; /* owned; the last is the duplicate window */
    PyObject *known;                          /* owned: a dict from what says a symbol, and its context, to its place in: */
    Tally *tallies;
    int count, room;
    PyObject *young, *old;                    /* owned: the window's dicts, as long as nobody else may change them; or NULL */
    int64_t size;
} Flow;

/* Where a call is: frame, message of it, item of that. */
typedef struct {
    Py_ssize_t frame;
    int message, item;
} At;

typedef struct {
    PyObject_HEAD
    PyObject *decode;         /* text -> value */
    PyObject *unpack;         /* a binary frame -> its text; NULL where that is the text */
    PyObject *odd;            /* exceptions after which a value's full reader is asked */
    Decision route;           /* 2 * (FORMS * flow + form) + whether its items are turned, or -1: it is none of theirs */
    Place split;              /* where the messages of a frame are; nowhere: it is one */
    int whole;                /* whether it is one, too, where nothing true is there */
    Flow *flows;
    int flow_count, busy;
    PyObject *scope, *out, *moment, *epoch; /* of the call under way: the caller's, the caller's, owned, owned */
    int64_t received;
    Py_ssize_t frame;        /* the one that is mapped, or was when something went wrong */
    Tally *touched[TOUCHED]; /* with something to book */
    int touched_count;
    JsonText json;
} FrameMapper;

static PyObject *name_received, *name_filtered, *name_event, *name_moment, *name_price, *name_numbers, *name_last, *name_epoch,
    *name_event_us, *name_young, *name_old, *name_size, *name_turn, *name_suspected, *name_see, *name_resolved,
    *name_count_oddities, *name_values, *name_published;

static int name_attributes(void)
{
    static const Word words[] = {
        {&name_received, "received"}, {&name_filtered, "filtered"}, {&name_event, "last_event_us"},
        {&name_moment, "last_received_us"}, {&name_price, "last_price"}, {&name_numbers, "numbers"}, {&name_last, "last"},
        {&name_epoch, "epoch"}, {&name_event_us, "event_us"}, {&name_young, "young"}, {&name_old, "old"}, {&name_size, "size"},
        {&name_turn, "turn"}, {&name_suspected, "suspected_gaps"}, {&name_see, "see"}, {&name_resolved, "resolved"},
        {&name_count_oddities, "count_oddities"}, {&name_values, "values"}, {&name_published, "published"},
    };
    return make_words(words, sizeof words / sizeof *words);
}

static int set_int(PyObject *object, PyObject *name, int64_t number)
{
    PyObject *value = PyLong_FromLongLong(number);
    int done = value != NULL ? PyObject_SetAttr(object, name, value) : -1;
    Py_XDECREF(value);
    return done;
}

static int get_int(PyObject *object, PyObject *name, int64_t *found)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int whole = value != NULL && exact_int(value, found);
    if (value != NULL && !whole)
        PyErr_Format(PyExc_TypeError, "%U is a whole number of 64 bits", name);
    Py_XDECREF(value);
    return whole ? 0 : -1;
}

/* -- the books */

/* The number of a record that is the next one. 0, or -1 with an exception set. */
static int keep_number(const FrameMapper *self, PyObject *numbers, int64_t number, int64_t event)
{
    return set_int(numbers, name_last, number) < 0 || PyObject_SetAttr(numbers, name_epoch, self->epoch) < 0
                   || set_int(numbers, name_event_us, event) < 0 ? -1 : 0;
}

static int add_to(PyObject *account, PyObject *name, int64_t *more)
{
    int64_t before, counted = *more;
    *more = 0;
    return get_int(account, name, &before) < 0 ? -1 : set_int(account, name, before + counted);
}

static int book(const FrameMapper *self, Tally *tally)
{
    if (tally->filtered && add_to(tally->account, name_filtered, &tally->filtered) < 0)
        return -1;
    if (!tally->received)
        return 0;
    if (add_to(tally->account, name_received, &tally->received) < 0)
        return -1;
    if (set_int(tally->account, name_event, tally->event) < 0
        || PyObject_SetAttr(tally->account, name_moment, self->moment) < 0
        || PyObject_SetAttr(tally->account, name_price, tally->price) < 0)
        return -1;
    return tally->numbers != NULL ? keep_number(self, tally->numbers, tally->last, tally->event) : 0;
}

/* All that was counted goes into the accounts, and what is kept of others' state is forgotten: somebody else may look at
   both. An exception that is set stays, or else the first that comes. 0, or -1 with one set. */
static int book_all(FrameMapper *self)
{
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    for (int at = 0; at < self->touched_count; at++) {
        Tally *tally = self->touched[at];
        if (book(self, tally) < 0) {
            if (type == NULL)
                PyErr_Fetch(&type, &error, &trace);
            else
                PyErr_Clear();
        }
        tally->received = tally->filtered = 0;
        Py_CLEAR(tally->price);
        Py_CLEAR(tally->numbers);
    }
    self->touched_count = 0;
    for (Flow *flow = self->flows; flow < self->flows + self->flow_count; flow++) {
        Py_CLEAR(flow->young);
        Py_CLEAR(flow->old);
    }
    PyErr_Restore(type, error, trace);
    return type != NULL ? -1 : 0;
}

/* Something of a symbol is to be booked. 0, or -1 with an exception set. */
static int touch(FrameMapper *self, Tally *tally)
{
    if (tally->received || tally->filtered)
        return 0;
    if (self->touched_count == TOUCHED && book_all(self) < 0)
        return -1;
    self->touched[self->touched_count++] = tally;
    return 0;
}

/* One more record of a symbol. 0, or -1 with an exception set. */
static int count_record(FrameMapper *self, Tally *tally, int64_t event, PyObject *price)
{
    if (touch(self, tally) < 0)
        return -1;
    tally->received++;
    tally->event = event;
    Py_XSETREF(tally->price, Py_NewRef(price));
    return 0;
}

/* -- routes: below, 1 is done, 0 is not plain, -1 is an exception */

/* The route of the message that `given` begins at. */
static int find_route(FrameMapper *self, const Given *given, long *found)
{
    int done = decide(&self->route, given, found);
    long flow = done == 1 && *found >= 0 ? *found / (2 * FORMS) : 0;
    if (done == 1 && *found >= 0 && (flow >= self->flow_count || *found / 2 % FORMS >= self->flows[flow].form_count)) {
        PyErr_SetString(PyExc_ValueError, "no such flow");
        return -1;
    }
    return done;
}

/* -- items */

/* A symbol that was not met yet: Python says what it is mapped by. */
static int enter_symbol(FrameMapper *self, Flow *flow, const Given *given, PyObject *name, Tally **found)
{
    PyObject *mapper, *context, *account, *latest;
    if (book_all(self) < 0 || flow->count == SYMBOLS || PyDict_GET_SIZE(flow->known) >= NAMES)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *message = text_of_node(given, given->top), *item = message != NULL ? text_of_node(given, given->node) : NULL;
    PyObject *told = item != NULL ? PyObject_CallFunctionObjArgs(flow->enter, message, item, NULL) : NULL;
    Py_XDECREF(message);
    Py_XDECREF(item);
    if (told == NULL || told == Py_None) {
        Py_XDECREF(told);
        return told == NULL ? -1 : 0;
    }
    int done = PyArg_ParseTuple(told, "OOOO", &mapper, &context, &account, &latest) ? 1 : -1;
    if (done == 1 && (Py_TYPE(mapper)->tp_dealloc != mapper_end || !((Mapper *)mapper)->program->of_text)) {
        PyErr_SetString(PyExc_TypeError, "a symbol is mapped by a mapper whose program can map text");
        done = -1;
    }
    PyObject *place = done == 1 ? PyDict_GetItemWithError(flow->known, context) : NULL;
    if (place != NULL || PyErr_Occurred()) { /* a symbol by another name */
        done = place != NULL && PyDict_SetItem(flow->known, name, place) == 0 ? 1 : -1;
        if (done == 1)
            *found = flow->tallies + PyLong_AsLong(place);
        Py_DECREF(told);
        return done;
    }
    if (done == 1 && flow->count == flow->room) { /* nothing is touched now: they may move */
        int room = flow->room ? 2 * flow->room : 16;
        Tally *more = PyMem_Realloc(flow->tallies, (size_t)room * sizeof *more);
        if (more == NULL) {
            PyErr_NoMemory();
            done = -1;
        } else {
            flow->tallies = more;
            flow->room = room;
        }
    }
    PyObject *symbol = done == 1 ? PyObject_GetAttr(context, name_resolved) : NULL;
    PyObject *number = symbol != NULL ? PyLong_FromLong(flow->count) : NULL;
    if (number == NULL || PyDict_SetItem(flow->known, name, number) < 0 || PyDict_SetItem(flow->known, context, number) < 0)
        done = -1;
    Py_XDECREF(number);
    if (done == 1) {
        *found = flow->tallies + flow->count++;
        **found = (Tally){.mapper = Py_NewRef(mapper), .context = Py_NewRef(context), .account = Py_NewRef(account),
                          .symbol = Py_NewRef(symbol), .latest = Py_NewRef(latest)};
    }
    Py_XDECREF(symbol);
    Py_DECREF(told);
    return done;
}

static int find_symbol(FrameMapper *self, Flow *flow, const Given *given, Tally **found)
{
    PyObject *name;
    int at = flow->symbol.count ? node_at(&flow->symbol, given) : NOWHERE;
    const JsonNode *node = at != NOWHERE ? given->json->nodes + at : NULL;
    if (!flow->symbol.count)
        name = PyUnicode_FromStringAndSize(NULL, 0);
    else if (node == NULL || !((node->kind == JSON_INT && flow->whole) || (node->kind == JSON_STRING && node->size)))
        return 0;
    else
        name = PyUnicode_DecodeUTF8(given->json->text + node->start, node->size, NULL);
    PyObject *place = name != NULL ? PyDict_GetItemWithError(flow->known, name) : NULL;
    int done = 1;
    if (place != NULL)
        *found = flow->tallies + PyLong_AsLong(place);
    else
        done = PyErr_Occurred() ? -1 : enter_symbol(self, flow, given, name, found);
    Py_XDECREF(name);
    return done;
}

/* Whether a record's number is simply the next one; `numbers` is the symbol's state then, owned. */
static int is_next(const Flow *flow, const Given *given, const Tally *tally, PyObject **numbers, int64_t *number)
{
    int at = node_at(&flow->number, given);
    const JsonNode *node = at != NOWHERE ? given->json->nodes + at : NULL;
    int64_t last = tally->last;
    if (node == NULL || !whole_of_node(given->json, node, number) || *number >= LARGEST_NUMBER)
        return 0;
    *numbers = tally->numbers != NULL ? Py_NewRef(tally->numbers) : PyObject_GetAttr(tally->context, name_numbers);
    if (*numbers == NULL || *numbers == Py_None)
        return *numbers == NULL ? -1 : 0;
    return tally->numbers == NULL && get_int(*numbers, name_last, &last) < 0 ? -1 : *number == last + 1;
}

/* The times of a record without a number, where somebody looks for holes in them. */
static int keep_time(const FrameMapper *self, const Flow *flow, const Tally *tally, int64_t event)
{
    PyObject *tracker = PyObject_GetAttr(flow->mapping, name_suspected);
    if (tracker == NULL || tracker == Py_None) {
        Py_XDECREF(tracker);
        return tracker == NULL ? -1 : 0;
    }
    PyObject *symbol = PyObject_GetAttr(tally->context, scope_symbol), *time = PyLong_FromLongLong(event);
    PyObject *done = symbol != NULL && time != NULL
                         ? PyObject_CallMethodObjArgs(tracker, name_see, symbol, time, self->moment, self->epoch, NULL) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(symbol);
    Py_XDECREF(time);
    Py_DECREF(tracker);
    return done != NULL ? 0 : -1;
}

/* The window's dicts, and how many ids one has at most. 0, or -1 with an exception set. */
static int look_at_window(Flow *flow)
{
    if (flow->young != NULL)
        return 0;
    PyObject *young = PyObject_GetAttr(flow->window, name_young), *old = PyObject_GetAttr(flow->window, name_old);
    int dicts = young != NULL && old != NULL && PyDict_CheckExact(young) && PyDict_CheckExact(old);
    if (dicts && get_int(flow->window, name_size, &flow->size) == 0) {
        flow->young = young;
        flow->old = old;
        return 0;
    }
    Py_XDECREF(young);
    Py_XDECREF(old);
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a duplicate window has two dicts");
    return -1;
}

/* Whether the duplicate window has not had an id, which it then has; -1 with an exception set. */
static int is_new(Flow *flow, PyObject *identity, PyObject *content)
{
    if (look_at_window(flow) < 0)
        return -1;
    int known = PyDict_Contains(flow->old, identity);
    if (known)
        return known < 0 ? -1 : 0;
    Py_ssize_t before = PyDict_GET_SIZE(flow->young);
    if (PyDict_SetDefault(flow->young, identity, content) == NULL)
        return -1;
    if (PyDict_GET_SIZE(flow->young) == before)
        return 0;
    if (before + 1 < flow->size)
        return 1;
    Py_CLEAR(flow->young);
    Py_CLEAR(flow->old);
    PyObject *turned = PyObject_CallMethodNoArgs(flow->window, name_turn);
    Py_XDECREF(turned);
    return turned != NULL ? 1 : -1;
}

/* What readers of Python's have left beside notes is counted. 0, or -1 with an exception set. */
static int count_oddities(const Flow *flow, const Given *given, const Tally *tally)
{
    if (!given->asked)
        return 0;
    PyObject *done = PyObject_CallMethodObjArgs(flow->mapping, name_count_oddities, tally->context, given->scope, NULL);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* A record that is made goes where it belongs. 1, or -1 with an exception set. */
static int keep(FrameMapper *self, Flow *flow, const Given *given, Tally *tally, const Made *made, int64_t event, PyObject *price,
                PyObject *numbers, int64_t number)
{
    PyObject *identity = PyUnicode_DecodeASCII(made->message_id, 36, NULL);
    PyObject *content = PyBytes_FromStringAndSize(made->content, CONTENT_BYTES);
    PyObject *envelope = envelope_of((const Mapper *)tally->mapper, made, event, self->moment);
    int done = identity != NULL && content != NULL && envelope != NULL && count_oddities(flow, given, tally) == 0
                   ? is_new(flow, identity, content) : -1;
    if (done == 0) {
        const JsonNode *node = given->json->nodes + given->node, *top = given->json->nodes + given->top;
        int booked = book_all(self) == 0 && (numbers == NULL || keep_number(self, numbers, number, event) == 0);
        PyObject *told = booked
                             ? PyObject_CallFunction(flow->odd, "OOOOLOs#s#", tally->context, identity, content, envelope,
                                                     (long long)event, price, given->json->text + node->start,
                                                     (Py_ssize_t)node->size, given->json->text + top->start,
                                                     (Py_ssize_t)top->size) : NULL;
        PyObject *instead = told != NULL && told != Py_None ? told : NULL;
        done = told == NULL || (instead != NULL && PyList_Append(self->out, instead) < 0) ? -1 : 1;
        Py_XDECREF(told);
    } else if (done == 1 && (PyList_Append(self->out, envelope) < 0 || count_record(self, tally, event, price) < 0)) {
        done = -1;
    } else if (done == 1 && numbers != NULL) {
        tally->last = number;
        Py_XSETREF(tally->numbers, Py_NewRef(numbers));
    }
    Py_XDECREF(identity);
    Py_XDECREF(content);
    Py_XDECREF(envelope);
    return done;
}

/* What an item makes of the fields that keep their last value, a new list; whether it changes nothing that there is a record
   for. 1, or 0 or -1 as ever. */
static int move_fields(const Flow *flow, Given *given, const Tally *tally, PyObject **now, long *same)
{
    PyObject *before = PyObject_GetAttr(tally->latest, name_values);
    *now = before != NULL ? moved(flow->carried, given, before) : NULL;
    Py_XDECREF(before);
    if (*now == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!flow->changes_only)
        return 1;
    PyObject *published = PyObject_GetAttr(tally->latest, name_published);
    int equal = published != NULL ? PyObject_RichCompareBool(published, *now, Py_EQ) : -1;
    Py_XDECREF(published);
    *same = equal == 1;
    if (equal >= 0 && !(equal && flow->number.count)) /* with a number it counts all the same */
        return 1;
    Py_CLEAR(*now);
    return equal < 0 ? -1 : 0;
}

/* The values as they are now; whether they are a record's. 0, or -1 with an exception set. */
static int keep_fields(const Tally *tally, PyObject *now, int published)
{
    return PyObject_SetAttr(tally->latest, name_values, now) < 0
                   || (published && PyObject_SetAttr(tally->latest, name_published, now) < 0) ? -1 : 0;
}

/* One item to its record. `kept` is 1 as soon as anything of it is anywhere. */
static int map_item(FrameMapper *self, Flow *flow, Given *given, int *kept)
{
    Tally *tally = NULL;
    PyObject *numbers = NULL, *price = NULL;
    int64_t number = 0;
    long dropped = 0;
    int done = find_symbol(self, flow, given, &tally);
    if (done == 1 && flow->drop.count)
        done = decide(&flow->drop, given, &dropped);
    if (done == 1 && dropped) {
        if (flow->number.count) /* it counts all the same */
            return 0;
        *kept = 1;
        done = touch(self, tally);
        tally->filtered += done == 0;
        return done < 0 ? -1 : 1;
    }
    if (done == 1 && flow->number.count)
        done = is_next(flow, given, tally, &numbers, &number);
    if (done != 1) {
        Py_XDECREF(numbers);
        return done;
    }
    PyObject *now = NULL;
    given->symbol = tally->symbol;
    done = flow->carried != NULL ? move_fields(flow, given, tally, &now, &dropped) : 1;
    if (done != 1 || dropped) {
        Py_XDECREF(numbers);
        *kept = done == 1;
        if (done == 1)
            done = keep_fields(tally, now, 0) < 0 || touch(self, tally) < 0 ? -1 : 1;
        tally->filtered += done == 1;
        Py_XDECREF(now);
        return done;
    }
    given->values = now;
    const Mapper *mapper = (const Mapper *)tally->mapper;
    Buffer body;
    Value values[MOST];
    Made made = {0};
    PyObject *noted = NULL;
    int taken = 0;
    buffer_open(&body);
    done = put_body(&body, mapper, given, values, &taken, &noted);
    if (done == 1)
        done = finish(mapper, given, &body, values, noted, &made);
    if (done == 1 && (price = price_of(mapper->program, values)) == NULL)
        done = -1;
    if (done == 1) {
        int64_t event = (int64_t)values[mapper->program->time_at].number;
        *kept = 1;
        done = numbers == NULL && keep_time(self, flow, tally, event) < 0
                   ? -1 : keep(self, flow, given, tally, &made, event, price, numbers, number);
        if (done == 1 && now != NULL)
            done = keep_fields(tally, now, 1) < 0 ? -1 : 1;
    }
    given->values = NULL;
    Py_XDECREF(now);
    while (taken)
        Py_XDECREF(values[--taken].object);
    Py_XDECREF(made.bytes);
    Py_XDECREF(price);
    Py_XDECREF(numbers);
    Py_XDECREF(noted);
    buffer_close(&body);
    return done;
}

/* The same, with an end of what it was opened for; of what is not plain nothing is left behind. */
static int map_opened(FrameMapper *self, Flow *flow, Given *given)
{
    int kept = 0, done = map_item(self, flow, given, &kept);
    if (done < 0 && !kept && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_Exception))) {
        PyErr_Clear(); /* the general way meets it again, and says it with its place */
        done = 0;
    }
    if (given->asked && done < 0)
        forget_failed(given->scope);
    else if (given->asked && done == 0 && forget_item(given->scope) < 0)
        done = -1;
    given->asked = 0;
    Py_CLEAR(given->item);
    forget_given(given);
    return done;
}

/* The items of one message, from `at` on; of what is not plain nothing is left behind, and `at` says where that is. */
static int map_items(FrameMapper *self, Flow *flow, const Items *form, Given *given, int turned, int *at)
{
    int items[JSON_NODES], count = 0, done = find_items(form, given, items, &count);
    given->unfold = flow->unfold;
    given->count = count;
    for (*at = 0; done == 1 && *at < count; *at += done == 1) {
        given->node = items[turned ? count - 1 - *at : *at];
        given->at = *at;
        done = map_opened(self, flow, given);
    }
    Py_CLEAR(given->items);
    return done;
}

static int map_message(FrameMapper *self, Given *given, int top, int *item)
{
    long route;
    *item = 0;
    given->top = given->node = top;
    if (self->json.nodes[top].kind < JSON_LIST)
        return 0;
    int done = find_route(self, given, &route);
    if (done != 1 || route < 0)
        return done == 1 ? 0 : done;
    Flow *flow = self->flows + route / (2 * FORMS);
    return map_items(self, flow, flow->forms + route / 2 % FORMS, given, (int)(route & 1), item);
}

/* The text of a frame, borrowed; NULL where it is not plain. */
static const char *text_of(PyObject *frame, Py_ssize_t *size)
{
    const char *text = NULL;
    if (PyUnicode_CheckExact(frame) && PyUnicode_GET_LENGTH(frame) <= JSON_LONGEST) {
        text = PyUnicode_AsUTF8AndSize(frame, size);
        if (text == NULL)
            PyErr_Clear(); /* half a surrogate pair is not text */
    } else if (PyBytes_CheckExact(frame) && PyBytes_GET_SIZE(frame) <= JSON_LONGEST) {
        text = PyBytes_AS_STRING(frame);
        *size = PyBytes_GET_SIZE(frame);
        for (Py_ssize_t at = 0; at < *size; at++)
            if ((unsigned char)text[at] >> 7)
                return NULL; /* it may not be UTF-8 */
    }
    return text;
}

/* A frame as it is to be read, owned; NULL where it cannot be unpacked, or with an exception set. */
static PyObject *unpacked(const FrameMapper *self, PyObject *frame)
{
    if (self->unpack == NULL || !PyBytes_CheckExact(frame))
        return Py_NewRef(frame);
    PyObject *text = PyObject_CallOneArg(self->unpack, frame);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear(); /* the general way meets it again, and says it */
    return text;
}

static int map_frame(FrameMapper *self, PyObject *frame, At *at)
{
    Py_ssize_t size = 0;
    const char *text = text_of(frame, &size);
    Given given = {.scope = self->scope, .odd = self->odd, .json = &self->json, .moment = self->received,
                   .decode = self->decode};
    if (text == NULL || !json_scan(&self->json, text, size))
        return 0;
    const JsonNode *nodes = self->json.nodes;
    int found = self->split.count ? node_at(&self->split, &given) : NOWHERE;
    if (found == NOWHERE || nodes[found].kind != JSON_LIST || (self->whole && !json_is_true(&self->json, found)))
        return map_message(self, &given, 0, &at->item);
    int done = 1;
    for (int node = found + 1; done == 1 && node < nodes[found].next; node = nodes[node].next) {
        done = map_message(self, &given, node, &at->item);
        at->message += done == 1;
    }
    return done;
}

static PyObject *frame_mapper_take(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    FrameMapper *self = (FrameMapper *)object;
    At at = {0, 0, 0};
    if (count != 4 || !PyList_CheckExact(arguments[0]) || !PyList_CheckExact(arguments[3])) {
        PyErr_SetString(PyExc_TypeError, "take(frames, from, scope, envelopes)");
        return NULL;
    }
    PyObject *frames = Py_NewRef(arguments[0]);
    at.frame = PyLong_AsSsize_t(arguments[1]);
    int done = at.frame < 0 || self->busy ? -1 : 1;
    if (done < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_RuntimeError, "frames are mapped one after the other, from one of them on");
    if (done == 1) {
        self->busy = 1;
        self->scope = arguments[2];
        self->out = arguments[3];
        self->moment = PyObject_GetAttr(self->scope, received_at);
        self->epoch = PyObject_GetAttr(self->scope, name_epoch);
        if (self->moment == NULL || self->epoch == NULL || get_int(self->scope, received_at, &self->received) < 0)
            done = -1;
        while (done == 1 && at.frame < PyList_GET_SIZE(frames)) {
            PyObject *frame = unpacked(self, PyList_GET_ITEM(frames, at.frame));
            self->frame = at.frame;
            at.message = at.item = 0;
            done = frame != NULL ? map_frame(self, frame, &at) : PyErr_Occurred() ? -1 : 0;
            Py_XDECREF(frame);
            at.frame += done == 1;
        }
        if (book_all(self) < 0)
            done = -1;
        Py_CLEAR(self->moment);
        Py_CLEAR(self->epoch);
        self->busy = 0;
    }
    Py_DECREF(frames);
    return done < 0 ? NULL : done == 1 ? Py_BuildValue("nii", at.frame, 0, 0)
                                       : Py_BuildValue("nii", at.frame, at.message, at.item);
}

/* -- making one */

static int frame_mapper_visit(PyObject *object, visitproc visit, void *arg)
{
    FrameMapper *self = (FrameMapper *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->decode);
    Py_VISIT(self->unpack);
    int met = visit_decision(&self->route, visit, arg);
    if (met)
        return met;
    for (Flow *flow = self->flows; flow < self->flows + self->flow_count; flow++) {
        met = visit_decision(&flow->drop, visit, arg);
        if (met)
            return met;
        Py_VISIT(flow->carried);
        Py_VISIT(flow->enter);
        Py_VISIT(flow->odd);
        Py_VISIT(flow->unfold);
        Py_VISIT(flow->mapping);
        Py_VISIT(flow->window);
        for (int at = 0; at < flow->count; at++) {
            Py_VISIT(flow->tallies[at].mapper);
            Py_VISIT(flow->tallies[at].context);
            Py_VISIT(flow->tallies[at].account);
            Py_VISIT(flow->tallies[at].symbol);
            Py_VISIT(flow->tallies[at].latest);
        }
    }
    return 0;
}

static void forget_places(Flow *flow)
{
    for (; flow->form_count; flow->form_count--)
        forget_place(&flow->forms[flow->form_count - 1].place);
    forget_place(&flow->symbol);
    forget_place(&flow->number);
    forget_decision(&flow->drop);
}

/* Lets go of everything; where it is at work, that waits until nobody has it any more. */
static int frame_mapper_clear(PyObject *object)
{
    FrameMapper *self = (FrameMapper *)object;
    if (self->busy)
        return 0;
    for (; self->flow_count; self->flow_count--) {
        Flow *flow = self->flows + self->flow_count - 1;
        forget_places(flow);
        Py_CLEAR(flow->carried);
        Py_CLEAR(flow->enter);
        Py_CLEAR(flow->odd);
        Py_CLEAR(flow->unfold);
        Py_CLEAR(flow->mapping);
        Py_CLEAR(flow->window);
        Py_CLEAR(flow->known);
        for (; flow->count; flow->count--) {
            Tally *tally = flow->tallies + flow->count - 1;
            Py_CLEAR(tally->mapper);
            Py_CLEAR(tally->context);
            Py_CLEAR(tally->account);
            Py_CLEAR(tally->symbol);
            Py_CLEAR(tally->latest);
        }
        PyMem_Free(flow->tallies);
    }
    forget_place(&self->split);
    forget_decision(&self->route);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->unpack);
    Py_CLEAR(self->odd);
    return 0;
}

static void frame_mapper_end(PyObject *object)
{
    FrameMapper *self = (FrameMapper *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    frame_mapper_clear(object);
    PyMem_Free(self->flows);
    type->tp_free(object);
    Py_DECREF(type);
}

/* A flow of (forms of the items, (symbol, whole), number, drop, enter, odd, unfold, mapping, window, carried, changes_only). */
static int read_flow(PyObject *given, Flow *flow)
{
    PyObject *items, *symbol, *number, *drop, *enter, *odd, *unfold, *mapping, *window, *carried;
    *flow = (Flow){0};
    if (!PyArg_ParseTuple(given, "O(Op)OOOOOOOOp", &items, &symbol, &flow->whole, &number, &drop, &enter, &odd, &unfold,
                          &mapping, &window, &carried, &flow->changes_only))
        return -1;
    if (carried != Py_None && Py_TYPE(carried)->tp_dealloc != carried_end) {
        PyErr_SetString(PyExc_TypeError, "fields are carried by what C has for that");
        return -1;
    }
    if (read_forms(items, flow->forms, &flow->form_count) < 0 || read_text_place(symbol, 0, &flow->symbol) < 0
        || read_text_place(number, 0, &flow->number) < 0 || read_decision(drop, &flow->drop) < 0
        || (flow->known = PyDict_New()) == NULL) {
        forget_places(flow);
        return -1;
    }
    flow->carried = (Carried *)or_null(carried);
    flow->enter = Py_NewRef(enter);
    flow->odd = Py_NewRef(odd);
    flow->unfold = Py_NewRef(unfold);
    flow->mapping = Py_NewRef(mapping);
    flow->window = Py_NewRef(window);
    return 0;
}

static PyObject *frame_mapper_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"route", "flows", "split", "whole", "decode", "odd", "unpack", NULL};
    PyObject *route, *flows, *split, *decode, *odd, *unpack;
    int whole;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OO!OpOO!O", names, &route, &PyTuple_Type, &flows, &split, &whole, &decode,
                                     &PyTuple_Type, &odd, &unpack))
        return NULL;
    if (PyTuple_GET_SIZE(flows) > FLOWS) {
        PyErr_SetString(PyExc_ValueError, "too many flows");
        return NULL;
    }
    FrameMapper *self = (FrameMapper *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->flows = PyMem_Calloc((size_t)PyTuple_GET_SIZE(flows) + 1, sizeof(Flow));
    self->decode = Py_NewRef(decode);
    self->unpack = or_null(unpack);
    self->whole = whole;
    self->odd = Py_NewRef(odd);
    if (self->flows == NULL)
        PyErr_NoMemory();
    int done = self->flows == NULL || read_decision(route, &self->route) < 0 ? -1 : read_text_place(split, 0, &self->split);
    for (; done == 0 && self->flow_count < PyTuple_GET_SIZE(flows); self->flow_count += done == 0)
        done = read_flow(PyTuple_GET_ITEM(flows, self->flow_count), self->flows + self->flow_count);
    if (done == 0)
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static PyMethodDef frame_mapper_methods[] = {
    {"take", (PyCFunction)(void (*)(void))frame_mapper_take, METH_FASTCALL,
     "(frames, from, scope, envelopes) -> (frame, message, item) of the first that is not plain; all before it are mapped."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef frame_mapper_members[] = {
    {"frame", T_PYSSIZET, offsetof(FrameMapper, frame), READONLY, "which frame `take` is at, or was when it raised"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot frame_mapper_slots[] = {
    {Py_tp_doc, "Maps the frames of one connection."},
    {Py_tp_members, frame_mapper_members},
    {Py_tp_new, frame_mapper_new},
    {Py_tp_methods, frame_mapper_methods},
    {Py_tp_traverse, frame_mapper_visit},
    {Py_tp_clear, frame_mapper_clear},
    {Py_tp_dealloc, frame_mapper_end},
    {0, NULL},
};

static PyType_Spec frame_mapper_spec = {
    .name = "k2conn.native.mapper.FrameMapper",
    .basicsize = sizeof(FrameMapper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = frame_mapper_slots,
};

#endif
