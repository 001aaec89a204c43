/*
 * agent: what the watchdog's bench runs as an agent, and what reads it.
 *
 *   agent write BYTES PIECE    writes so many bytes to stdout, so many at a time
 *   agent read                 reads stdin to its end
 *   agent now                  prints CLOCK_MONOTONIC in nanoseconds, exits with 1
 *   agent wait                 closes stdout and waits
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char piece[1 << 17];

static int write_all(size_t length, size_t size)
{
	memset(piece, 'x', sizeof piece);
	size = size < sizeof piece ? size : sizeof piece;
	for (size_t i = size; i <= sizeof piece; i += size)
		piece[i - 1] = '\n';
	while (length > 0) {
		ssize_t written = write(STDOUT_FILENO, piece, size < length ? size : length);
		if (written < 0)
			return 1;
		length -= (size_t)written;
	}
	return 0;
}

static int read_all(void)
{
	ssize_t got;
	do
		got = read(STDIN_FILENO, piece, sizeof piece);
	while (got > 0);
	return got < 0;
}

static int now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	char text[32];
	int length = snprintf(text, sizeof text, "%lld\n",
	                      (long long)time.tv_sec * 1000000000 + time.tv_nsec);
	return write(STDOUT_FILENO, text, (size_t)length) != length ? 2 : 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "write") == 0 && argc > 3 && atoi(argv[3]) > 0)
		return write_all(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
	if (strcmp(what, "read") == 0)
		return read_all();
	if (strcmp(what, "now") == 0)
		return now();
	if (strcmp(what, "wait") == 0)
		return close(STDOUT_FILENO) < 0 || pause() == 0;
	fputs("usage: see agent.c\n", stderr);
	return 2;
}
