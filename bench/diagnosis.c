/*
 * diagnosis: what it costs to redact and diagnose 64 KiB of output, as the watchdog does when an
 * agent ends. Every log given is repeated up to that size; the best of five rounds counts.
 *
 * diagnosis LOG…; prints milliseconds of processor time, on average and at most.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/snippet.h"

#define RING_SIZE ((size_t)64 * 1024)
#define ROUNDS    5

static char log_bytes[RING_SIZE];
static char work[RING_SIZE];

static double milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool read_log(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	size_t length = fread(log_bytes, 1, sizeof log_bytes, file);
	fclose(file);
	if (length == 0)
		return false;
	for (size_t i = length; i < sizeof log_bytes; i++)
		log_bytes[i] = log_bytes[i - length];
	return true;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

int main(int argc, char **argv)
{
	double redacting = 0;
	double picking = 0;
	double most = 0;
	size_t logs = 0;
	for (int i = 1; i < argc; i++) {
		double best[2] = {1e9, 1e9};
		if (!read_log(argv[i]))
			continue;
		for (size_t round = 0; round < ROUNDS; round++) {
			static struct snippet snippet;
			memcpy(work, log_bytes, sizeof work);
			double start = milliseconds();
			size_t length = redact(NULL, true, work, sizeof work, NULL);
			double redacted = milliseconds();
			snippet_pick(NULL, work, length, &snippet);
			best[0] = smaller(best[0], redacted - start);
			best[1] = smaller(best[1], milliseconds() - redacted);
		}
		redacting += best[0];
		picking += best[1];
		most = best[0] + best[1] > most ? best[0] + best[1] : most;
		logs++;
	}
	if (logs == 0) {
		fputs("usage: diagnosis LOG…\n", stderr);
		return 2;
	}
	printf("%zu logs of 64 KiB: redacted in %.2f ms, diagnosed in %.2f ms, at most %.2f ms\n",
	       logs, redacting / (double)logs, picking / (double)logs, most);
	return 0;
}
