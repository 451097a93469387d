/* Binance aggTrade frames into Kafka as v2 trade records: what the job costs when nothing else is done.

   A lower bound for the comparison in benchmarks/endtoend.py, not a connector. It writes the bytes that k2conn writes,
   one record for each frame, and leaves out whatever else k2conn does: no other stream or venue, no duplicate window,
   gaps, dead letters, metrics or spool; no idempotence, no compression, no second broker. It ends at the first thing
   that it does not expect, with one line that says what that was.

       cc -O2 -o binance_aggtrade_kafka binance_aggtrade_kafka.c
       ./binance_aggtrade_kafka run WS_PORT KAFKA_PORT TOPIC SCHEMA_ID BTC-USDT,ETH-USDT    (both on 127.0.0.1)
       ./binance_aggtrade_kafka map RECEIVED_US BTC-USDT,ETH-USDT < frames > records

   One thread and two sockets. What a read of the WebSocket brought is cut into frames; of each frame the members of
   "data" are found by one pass over its text, and the record is written straight behind the others of the next batch.
   A batch (version 2, one partition) leaves when the oldest of its records has waited for LINGER_MS or it is full, and
   none is under way: so the order is kept. While a full batch waits for that, the WebSocket is not read. `map` does the
   middle part alone, for the test that compares the bytes: a frame a line in, each record behind its length out. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../../k2conn/native/sha1.h"

enum { LINGER_MS = 5, BATCH = 256 * 1024, READ = 256 * 1024, RECORD = 4096, SYMBOLS = 64, HEAD = 61, REQUEST = 512 };

/* Of k2conn's message ids: see k2conn/engine/identity/message_ids.py. */
static const uint8_t NAMESPACE[16] = {0x79, 0x5e, 0xa9, 0xe8, 0x87, 0x5b, 0x59, 0xef,
                                      0xbe, 0x0c, 0x28, 0x52, 0xbc, 0xf6, 0xbf, 0xfc};

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* ---- bytes */

typedef struct { const char *at; size_t size; } Text;

static uint8_t *put(uint8_t *out, const void *bytes, size_t size)
{
    memcpy(out, bytes, size);
    return out + size;
}

static uint8_t *put_big(uint8_t *out, uint64_t value, int size)
{
    for (int at = size - 1; at >= 0; at--, value >>= 8)
        out[at] = (uint8_t)value;
    return out + size;
}

static uint8_t *put_number(uint8_t *out, int64_t value) /* zigzag varint, Avro's and Kafka's */
{
    uint64_t rest = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; rest > 0x7f; rest >>= 7)
        *out++ = (uint8_t)(rest | 0x80);
    *out++ = (uint8_t)rest;
    return out;
}

static uint8_t *put_text(uint8_t *out, Text text)
{
    return put(put_number(out, (int64_t)text.size), text.at, text.size);
}

static uint8_t *put_pair(uint8_t *out, const char *name, Text value)
{
    return put_text(put_text(out, (Text){name, strlen(name)}), value);
}

static int64_t get_big(const uint8_t *from, int size)
{
    uint64_t value = 0;
    for (int at = 0; at < size; at++)
        value = value << 8 | from[at];
    return (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

/* ---- values of a frame */

static int64_t whole(Text text)
{
    int64_t value = 0;
    if (!text.size || text.size > 18)
        die("not a number: %.*s", (int)text.size, text.at);
    for (size_t at = 0; at < text.size; at++) {
        if (text.at[at] < '0' || text.at[at] > '9')
            die("not a number: %.*s", (int)text.size, text.at);
        value = value * 10 + (text.at[at] - '0');
    }
    return value;
}

static uint8_t *put_decimal(uint8_t *out, Text text) /* scale 8, the fewest bytes */
{
    int64_t value = 0;
    int digits = 0, behind = -1;
    for (size_t at = 0; at < text.size; at++) {
        char c = text.at[at];
        if (c == '.' && behind < 0) {
            behind = 0;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > 18 || (behind >= 0 && ++behind > 8))
            die("not a price or an amount: %.*s", (int)text.size, text.at);
        value = value * 10 + (c - '0');
    }
    for (behind = behind < 0 ? 0 : behind; behind < 8; behind++)
        if (++digits > 18 && value)
            die("too many digits: %.*s", (int)text.size, text.at);
        else
            value *= 10;
    int size = 1;
    while (size < 8 && value >> (8 * size - 1))
        size++;
    return put_big(put_number(out, size), (uint64_t)value, size);
}

static const char *text_end(const char *at, const char *end) /* of a string, behind its first quotation mark */
{
    while (at < end && *at != '"' && *at != '\\')
        at++;
    if (at == end || *at == '\\')
        die("a text without an end, or with an escape");
    return at;
}

/* The members of "data" by their one-letter names; 0 where the frame has none (an answer to a request). */
static int members(const char *at, const char *end, Text *found)
{
    at = memmem(at, (size_t)(end - at), "\"data\":{", 8);
    if (!at)
        return 0;
    for (at += 8; at < end; at++) {
        if (*at++ != '"')
            die("no name where one should be");
        const char *name = at;
        at = text_end(at, end);
        int letter = at - name == 1 ? *name & 0x7f : 0;
        if (++at == end || *at++ != ':' || at == end)
            die("no value behind a name");
        const char *start = at;
        if (*at == '"') {
            start++;
            at = text_end(start, end);
            found[letter] = (Text){start, (size_t)(at++ - start)};
        } else {
            while (at < end && *at != ',' && *at != '}')
                at++;
            found[letter] = (Text){start, (size_t)(at - start)};
        }
        if (at < end && *at == '}')
            return 1;
        if (at == end || *at != ',')
            die("an object without an end");
    }
    die("an object without an end");
    return 0;
}

/* ---- records */

typedef struct {
    Text name, base, quote;
    char text[32];
    Sha1 seed; /* has read all of an id's name but the trade's own number */
} Symbol;

static Symbol symbols[SYMBOLS];
static int symbol_count;

static void know_symbols(char *pairs)
{
    for (char *pair = strtok(pairs, ","); pair; pair = strtok(NULL, ",")) {
        char *dash = strchr(pair, '-');
        if (!dash || strlen(pair) > 30 || symbol_count == SYMBOLS)
            die("symbols are written BTC-USDT,ETH-USDT: %s", pair);
        Symbol *one = symbols + symbol_count++;
        size_t base = (size_t)(dash - pair), quote = strlen(dash + 1);
        memcpy(one->text, pair, base);
        memcpy(one->text + base, dash + 1, quote);
        one->name = (Text){one->text, base + quote};
        one->base = (Text){one->text, base};
        one->quote = (Text){one->text + base, quote};
        char seed[80];
        int size = snprintf(seed, sizeof seed, "BINANCE|agg_trade|%.*s|", (int)one->name.size, one->name.at);
        sha1_open(&one->seed);
        sha1_read(&one->seed, NAMESPACE, sizeof NAMESPACE);
        sha1_read(&one->seed, (uint8_t *)seed, (size_t)size);
    }
}

static const Symbol *symbol_of(Text name)
{
    for (int at = 0; at < symbol_count; at++)
        if (symbols[at].name.size == name.size && !memcmp(symbols[at].name.at, name.at, name.size))
            return symbols + at;
    die("a symbol that was not asked for: %.*s", (int)name.size, name.at);
    return NULL;
}

static uint8_t *put_id(uint8_t *out, const Symbol *symbol, const char *identity, size_t size) /* a UUID, version 5 */
{
    static const char digits[] = "0123456789abcdef";
    Sha1 state = symbol->seed;
    uint8_t digest[20];
    sha1_read(&state, (const uint8_t *)identity, size);
    sha1_end(&state, digest);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x50);
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    out = put_number(out, 36);
    for (int at = 0; at < 16; at++) {
        if (at == 4 || at == 6 || at == 8 || at == 10)
            *out++ = '-';
        *out++ = (uint8_t)digits[digest[at] >> 4];
        *out++ = (uint8_t)digits[digest[at] & 15];
    }
    return out;
}

/* The Avro body of the trade; `out` has room for RECORD bytes. */
static uint8_t *put_trade(uint8_t *out, const Symbol *symbol, const Text *of, int64_t received_us)
{
    static const char letters[] = "sapqfleETmM";
    char id[40] = "BINANCE-";
    size_t size = 8 + of['a'].size, all = 0;
    for (const char *letter = letters; *letter; letter++) {
        if (!of[(int)*letter].size)
            die("a trade without its '%c'", *letter);
        all += of[(int)*letter].size;
    }
    if (size > sizeof id || all > RECORD / 4)
        die("a trade that is too long");
    memcpy(id + 8, of['a'].at, of['a'].size);
    int sell = of['m'].at[0] == 't';
    int64_t number = whole(of['a']);
    out = put_id(out, symbol, of['a'].at, of['a'].size);
    out = put_text(out, (Text){id, size});
    out = put_text(out, symbol->name);
    out = put_text(out, (Text){"BINANCE", 7});
    out = put_number(out, 1); /* crypto */
    out = put_number(out, whole(of['T']) * 1000);
    out = put_decimal(out, of['p']);
    out = put_decimal(out, of['q']);
    out = put_text(out, symbol->quote);
    out = put_number(out, sell);
    out = put_number(out, 0); /* no conditions */
    out = put_number(put_number(out, 1), number);
    out = put_number(out, received_us);
    out = put_number(out, 0); /* no number of the platform's */
    out = put_number(put_number(out, 1), 10);
    out = put_pair(out, "native_symbol", symbol->name);
    out = put_pair(out, "base_asset", symbol->base);
    out = put_pair(out, "quote_asset", symbol->quote);
    out = put_pair(out, "is_buyer_maker", of['m']);
    out = put_pair(out, "event_type", of['e']);
    out = put_pair(out, "event_time", of['E']);
    out = put_pair(out, "trade_time", of['T']);
    out = put_pair(out, "is_best_match", of['M']);
    out = put_pair(out, "first_trade_id", of['f']);
    out = put_pair(out, "last_trade_id", of['l']);
    return put_number(out, 0);
}

/* ---- Kafka */

static uint32_t crc_table[256];

static void fill_crc_table(void)
{
    for (uint32_t at = 0; at < 256; at++) {
        uint32_t value = at;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
        crc_table[at] = value;
    }
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_by_processor(uint32_t crc, const uint8_t *bytes, size_t size)
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

static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_by_processor(crc, bytes, size);
#endif
    while (size--)
        crc = crc >> 8 ^ crc_table[(crc ^ *bytes++) & 0xff];
    return ~crc;
}

typedef struct {
    uint8_t bytes[BATCH + 2 * RECORD];
    uint8_t *end; /* behind the last record; the head is written when it leaves */
    int count;
    int64_t first_ms, latest_ms, since_us;
} Batch;

static Batch batch;
static uint8_t schema_head[5];
static int under_way;
static const char *topic;

static int is_full(void)
{
    return batch.end - batch.bytes > BATCH;
}

static void empty_batch(void)
{
    batch.end = batch.bytes + HEAD;
    batch.count = 0;
}

static void add_frame(const char *from, const char *end, int64_t received_us)
{
    Text of[128] = {{0}};
    if (!members(from, end, of))
        return;
    const Symbol *symbol = symbol_of(of['s']);
    uint8_t body[RECORD], head[64], *last = put_trade(body, symbol, of, received_us), *to = head;
    int64_t time_ms = whole(of['T']);
    if (!batch.count) {
        batch.first_ms = batch.latest_ms = time_ms;
        batch.since_us = now_us(CLOCK_MONOTONIC);
    }
    if (time_ms > batch.latest_ms)
        batch.latest_ms = time_ms;
    *to++ = 0; /* attributes */
    to = put_number(put_number(to, time_ms - batch.first_ms), batch.count++);
    to = put_text(to, symbol->name);
    to = put_number(to, last - body + 5);
    to = put(to, schema_head, 5);
    uint8_t *out = put_number(batch.end, (to - head) + (last - body) + 1);
    out = put(put(out, head, (size_t)(to - head)), body, (size_t)(last - body));
    *out++ = 0; /* no headers */
    batch.end = out;
}

static void write_all(int socket, const void *bytes, size_t size)
{
    for (const char *at = bytes; size;) {
        ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent < 0)
            die("cannot write: %s", strerror(errno));
        at += sent;
        size -= (size_t)sent;
    }
}

static void send_batch(int kafka)
{
    size_t size = (size_t)(batch.end - batch.bytes), name = strlen(topic);
    uint8_t *out = put_big(batch.bytes, 0, 8);
    out = put_big(out, size - 12, 4);
    out = put_big(put_big(out, UINT64_MAX, 4), 2, 1); /* the leader's epoch is not known; version 2 */
    uint8_t *crc = out;
    out = put_big(out + 4, 0, 2); /* no compression, the record's own times */
    out = put_big(out, (uint64_t)batch.count - 1, 4);
    out = put_big(put_big(out, (uint64_t)batch.first_ms, 8), (uint64_t)batch.latest_ms, 8);
    out = put_big(put_big(put_big(out, UINT64_MAX, 8), UINT64_MAX, 2), UINT64_MAX, 4); /* no producer's numbers */
    put_big(out, (uint64_t)batch.count, 4);
    put_big(crc, crc32c(crc + 4, size - (size_t)(crc + 4 - batch.bytes)), 4);

    uint8_t request[REQUEST];
    out = put_big(put_big(request + 4, 0, 2), 7, 2); /* Produce, version 7 */
    out = put(put_big(put_big(out, 1, 4), 6, 2), "native", 6);
    out = put_big(put_big(put_big(out, UINT64_MAX, 2), UINT64_MAX, 2), 30000, 4); /* no transaction, acks=all */
    out = put(put_big(put_big(out, 1, 4), name, 2), topic, name);
    out = put_big(put_big(put_big(out, 1, 4), 0, 4), size, 4); /* one partition: the first */
    put_big(request, (uint64_t)(out - request - 4) + size, 4);
    write_all(kafka, request, (size_t)(out - request));
    write_all(kafka, batch.bytes, size);
    under_way = 1;
    empty_batch();
}

static void read_answer(int kafka)
{
    static uint8_t answer[REQUEST];
    static size_t got;
    ssize_t some = recv(kafka, answer + got, sizeof answer - got, 0);
    if (some <= 0)
        die("the broker is gone");
    got += (size_t)some;
    if (got < 4 || got < (size_t)get_big(answer, 4) + 4)
        return;
    size_t error = 4 + 4 + 4 + 2 + (size_t)get_big(answer + 12, 2) + 4 + 4;
    if (error + 2 > got || get_big(answer + error, 2))
        die("the broker does not take a batch: error %d", (int)get_big(answer + error, 2));
    got = 0;
    under_way = 0;
}

/* ---- the WebSocket */

static int connected(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int found = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (found < 0 || connect(found, (struct sockaddr *)&to, sizeof to))
        die("port %d: %s", port, strerror(errno));
    setsockopt(found, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return found;
}

static void send_frame(int socket, int opcode, const char *payload, size_t size)
{
    uint8_t head[8] = {(uint8_t)(0x80 | opcode), (uint8_t)(0x80 | (size < 126 ? size : 126))}, *end = head + 2;
    if (size > 65535)
        die("a frame that is too long to be sent");
    if (size > 125)
        end = put_big(end, size, 2);
    end = put_big(end, 0, 4); /* the mask: none of the bits */
    write_all(socket, head, (size_t)(end - head));
    write_all(socket, payload, size);
}

static void subscribe(int socket)
{
    static const char hello[] = "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Key: bmF0aXZlIG5hdGl2ZSEhIQ==\r\n"
                                "Sec-WebSocket-Version: 13\r\n\r\n";
    char answer[1024], asked[SYMBOLS * 48 + 64];
    write_all(socket, hello, sizeof hello - 1);
    size_t got = 0;
    do { /* a byte at a time, for frames may follow at once */
        if (got == sizeof answer - 1 || recv(socket, answer + got, 1, 0) != 1)
            die("no answer to the handshake");
        answer[++got] = 0;
    } while (got < 4 || memcmp(answer + got - 4, "\r\n\r\n", 4));
    if (strncmp(answer, "HTTP/1.1 101", 12))
        die("the handshake was refused: %s", answer);
    size_t size = (size_t)sprintf(asked, "{\"method\":\"SUBSCRIBE\",\"params\":[");
    for (int at = 0; at < symbol_count; at++) {
        char lower[32] = {0};
        for (size_t letter = 0; letter < symbols[at].name.size; letter++)
            lower[letter] = (char)(symbols[at].name.at[letter] | 0x20);
        size += (size_t)sprintf(asked + size, "%s\"%s@aggTrade\"", at ? "," : "", lower);
    }
    size += (size_t)sprintf(asked + size, "],\"id\":1}");
    send_frame(socket, 1, asked, size);
}

static uint8_t input[READ];
static size_t waiting; /* bytes in `input` */

/* Takes the whole frames out of `input`, up to a full batch; what is left moves to its beginning. */
static void take_frames(int socket, int64_t received_us)
{
    size_t at = 0;
    while (waiting - at >= 2 && !is_full()) {
        size_t size = input[at + 1] & 0x7f, head = size < 126 ? 2 : size == 126 ? 4 : 10;
        if (input[at + 1] & 0x80)
            die("a server's frame with a mask");
        if (waiting - at < head)
            break;
        if (size > 125)
            size = (size_t)get_big(input + at + 2, (int)head - 2);
        if (size > READ - 16)
            die("a frame that is too long");
        if (waiting - at < head + size)
            break;
        const char *payload = (char *)input + at + head;
        if (input[at] == 0x81)
            add_frame(payload, payload + size, received_us);
        else if (input[at] == 0x89)
            send_frame(socket, 10, payload, size);
        else
            die("a frame of another kind: %02x", input[at]);
        at += head + size;
    }
    waiting -= at;
    memmove(input, input + at, waiting);
}

static int wait_ms(void) /* until the batch is due; -1: nothing waits, or it cannot leave yet */
{
    if (!batch.count || under_way)
        return -1;
    int64_t left = batch.since_us + LINGER_MS * 1000 - now_us(CLOCK_MONOTONIC);
    return left > 0 ? (int)((left + 999) / 1000) : 0;
}

static void run(int feed_port, int kafka_port)
{
    int kafka = connected(kafka_port), feed = connected(feed_port);
    int64_t received_us = 0;
    subscribe(feed);
    for (;;) {
        struct pollfd sockets[2] = {{.fd = is_full() ? -1 : feed, .events = POLLIN}, {.fd = kafka, .events = POLLIN}};
        if (poll(sockets, 2, wait_ms()) < 0)
            die("poll: %s", strerror(errno));
        if (sockets[1].revents)
            read_answer(kafka);
        if (sockets[0].revents) {
            ssize_t some = recv(feed, input + waiting, READ - waiting, 0);
            if (some <= 0)
                die("the feed is at its end");
            waiting += (size_t)some;
            received_us = now_us(CLOCK_REALTIME);
            take_frames(feed, received_us);
        }
        if (batch.count && !under_way && (is_full() || !wait_ms())) {
            send_batch(kafka);
            take_frames(feed, received_us); /* those that had to wait for room */
        }
    }
}

static void map(int64_t received_us)
{
    static char line[READ];
    while (fgets(line, sizeof line, stdin)) {
        Text of[128] = {{0}};
        uint8_t body[RECORD], size[4];
        if (!members(line, line + strcspn(line, "\n"), of))
            continue;
        uint8_t *end = put_trade(body, symbol_of(of['s']), of, received_us);
        put_big(size, (uint64_t)(end - body), 4);
        fwrite(size, 1, 4, stdout);
        fwrite(body, 1, (size_t)(end - body), stdout);
    }
}

int main(int count, char **given)
{
    fill_crc_table();
    empty_batch();
    if (count == 4 && !strcmp(given[1], "map")) {
        know_symbols(given[3]);
        map(atoll(given[2]));
    } else if (count == 7 && !strcmp(given[1], "run")) {
        topic = given[4];
        if (strlen(topic) > 249)
            die("a topic's name has at most 249 letters");
        put_big(schema_head, (uint64_t)atoll(given[5]), 5);
        know_symbols(given[6]);
        run(atoi(given[2]), atoi(given[3]));
    } else {
        die("usage: %s run WS_PORT KAFKA_PORT TOPIC SCHEMA_ID PAIRS | map RECEIVED_US PAIRS", given[0]);
    }
    return 0;
}
