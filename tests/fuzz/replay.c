/* Feeds every file named on the command line to the fuzz target, without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	size_t capacity = 1 << 20;
	uint8_t *data = malloc(capacity);
	size_t size = data == NULL ? 0 : fread(data, 1, capacity, file);
	fclose(file);

	/* An exact-size copy, so that a read past the end is seen. */
	uint8_t *exact = malloc(size > 0 ? size : 1);
	if (data == NULL || exact == NULL)
		abort();
	for (size_t i = 0; i < size; i++)
		exact[i] = data[i];
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	int failures = 0;
	for (int i = 1; i < argc; i++)
		failures += replay(argv[i]);
	printf("%d inputs replayed\n", argc - 1 - failures);
	return failures > 0 || argc < 2;
}
