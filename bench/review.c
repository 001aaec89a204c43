/*
 * review: what the webhook's decision costs, without network: µs for each KB of a review, for the
 * recorded reviews and for the worst pods of tests/unit/worst_pods.h, each list and each pair.
 *
 * review CONFIG FILE…: the configuration and the recorded reviews.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/processor_time.h"
#include "lib/base/files.h"
#include "tests/unit/worst_pods.h"
#include "webhook/admission.h"

#define REVIEW_MAX ((size_t)16 * 1024 * 1024)

static struct config *config;
static struct arena *arena;

/* Microseconds for each KiB: the best of some runs. */
static double cost(const struct buffer *review, const char **ret_result)
{
	int64_t best = INT64_MAX;
	for (int run = 0; run < (review->length > 100000 ? 7 : 20); run++) {
		struct admission_context context = {.config = config};
		struct admission_response response;
		buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
		int64_t start = processor_time();
		admission_review(&context, arena, review->data, review->length, &response);
		int64_t time = processor_time() - start;
		best = time < best ? time : best;
		*ret_result = admission_result_name(response.result);
		buffer_free(&response.body);
		arena_reset(arena);
	}
	return (double)best / 1e3 / ((double)review->length / 1024);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median_of_files(char **files, int count)
{
	double *costs = calloc((size_t)count, sizeof *costs);
	for (int i = 0; i < count; i++) {
		struct error error;
		const char *result;
		struct buffer review;
		buffer_init(&review, REVIEW_MAX);
		if (!file_read(files[i], &review, &error))
			exit(1);
		costs[i] = cost(&review, &result);
		buffer_free(&review);
	}
	qsort(costs, (size_t)count, sizeof *costs, compare);
	double median = costs[count / 2];
	free(costs);
	return median;
}

static double worst(size_t first, size_t second, size_t bytes, double median, double show)
{
	const struct worst_list *const lists[] = {&worst_lists[first], &worst_lists[second]};
	const char *result;
	struct buffer review;
	buffer_init(&review, REVIEW_MAX);
	worst_review(&review, lists, first == second ? 1 : 2, bytes);
	double microseconds = cost(&review, &result);
	if (microseconds > show * median)
		printf("%-34s %-34s %8zu %8.1f %6.1f× %s\n", lists[0]->name,
		       first == second ? "" : lists[1]->name, review.length, microseconds,
		       microseconds / median, result);
	buffer_free(&review);
	return microseconds;
}

int main(int argc, char **argv)
{
	struct error error = {"usage: review CONFIG FILE…"};
	arena = arena_new(ADMISSION_ARENA_MAX);
	if (argc < 3 || arena == NULL || !config_load(argv[1], &config, &error)) {
		fprintf(stderr, "review: %s\n", error.message);
		return 1;
	}
	static const size_t sizes[] = {8 * 1024, 64 * 1024, 1400 * 1024};
	double median = median_of_files(argv + 2, argc - 2);
	printf("median of %d recorded reviews: %.1f µs for each KiB\n", argc - 2, median);
	for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++) {
		double most = 0;
		for (size_t i = 0; i < WORST_LISTS; i++)
			for (size_t j = i; j < (size < 2 ? WORST_LISTS : i + 1); j++) {
				double one = worst(i, j, sizes[size], median, 4);
				most = one > most ? one : most;
			}
		printf("%zu bytes: at most %.1f µs for each KiB, %.1f of the median\n", sizes[size],
		       most, most / median);
	}
	config_free(config);
	arena_free(arena);
	return 0;
}
