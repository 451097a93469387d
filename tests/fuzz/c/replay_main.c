/* Runs a target once over each file that is named: for compilers without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **words)
{
    LLVMFuzzerInitialize(&count, &words);
    for (int at = 1; at < count; at++) {
        FILE *file = fopen(words[at], "rb");
        if (file == NULL) {
            perror(words[at]);
            return 2;
        }
        uint8_t *data = malloc(1 << 20);
        size_t size = fread(data, 1, 1 << 20, file);
        uint8_t *exact = malloc(size ? size : 1); /* what is read beyond its end is seen */
        for (size_t byte = 0; byte < size; byte++)
            exact[byte] = data[byte];
        free(data);
        fclose(file);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
