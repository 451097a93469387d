/* What a record says, as 14 bytes; see k2conn/engine/identity/record_content.py, which makes the same. */
#define CONTENT_FIELDS 8
#define CONTENT_BYTES 14

/* The high half of the sum of the numbers, each times its own power of an odd constant. */
static uint32_t hash_numbers(const int64_t *numbers, int count)
{
    uint64_t factor = 1, sum = 0;
    for (int at = 0; at < count; at++) {
        factor *= 0x9E3779B97F4A7C15u;
        sum += (uint64_t)numbers[at] * factor;
    }
    return (uint32_t)(sum >> 32);
}

/* FNV-1a; begins with 2166136261. Behind each word stands a byte that UTF-8 has not. */
static uint32_t hash_word(uint32_t hash, const char *text, Py_ssize_t size)
{
    for (Py_ssize_t at = 0; at < size; at++)
        hash = (hash ^ (uint8_t)text[at]) * 16777619u;
    return (hash ^ 0xff) * 16777619u;
}

/* Time, hash of the numbers and hash of the words, the high bytes first. */
static void spell_content(uint64_t time, uint32_t numbers, uint16_t words, char *content)
{
    for (int at = 7; at >= 0; at--, time >>= 8)
        content[at] = (char)(time & 0xff);
    for (int at = 11; at >= 8; at--, numbers >>= 8)
        content[at] = (char)(numbers & 0xff);
    content[12] = (char)(words >> 8);
    content[13] = (char)(words & 0xff);
}
