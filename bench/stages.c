/*
 * stages: what each stage of an admission review costs, without network, beside cJSON's own parser
 * on the same bytes. Microseconds of processor time, the median of some runs: a processor's speed
 * changes meanwhile, and the best of each stage would be of different moments.
 *
 * stages CONFIG REVIEW…; prints for each review: bytes, parse (bytes to tree, UTF-8, duplicate
 * keys), decide (policy, patch, applied and verified), respond (patch, base64, decision record),
 * all, and cJSON_Parse().
 */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "bench/processor_time.h"
#include "lib/base/files.h"
#include "webhook/admission.h"

#define REVIEW_MAX ((size_t)16 * 1024 * 1024)
#define RUNS       400

enum stage { STAGE_PARSE, STAGE_DECIDE, STAGE_ALL, STAGE_CJSON, STAGE_COUNT };

static struct admission_context context;
static struct arena *arena;

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

/* The times of one review's stages, in each run. */
static int64_t times[STAGE_COUNT][RUNS];

static double median(enum stage stage)
{
	qsort(times[stage], RUNS, sizeof times[stage][0], compare);
	return (double)times[stage][RUNS / 2] / 1e3;
}

static void run_apart(const struct buffer *review, int run)
{
	json *root;
	struct error error;
	struct injection injection;
	int64_t start = processor_time();
	json_parse(arena, review->data, review->length, 0, &root, &error);
	times[STAGE_PARSE][run] = processor_time() - start;
	json *request = json_get(root, "request");
	const char *namespace = json_get_string_or(request, "namespace", "");
	json *pod = json_get(request, "object");
	start = processor_time();
	if (admission_is_pod_creation(request))
		injection_make(&context, namespace, arena, pod, &injection);
	times[STAGE_DECIDE][run] = processor_time() - start;
	arena_reset(arena);
}

static void run_whole(const struct buffer *review, int run)
{
	struct admission_response response;
	buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
	int64_t start = processor_time();
	admission_review(&context, arena, review->data, review->length, &response);
	buffer_free(&response.body);
	times[STAGE_ALL][run] = processor_time() - start;
	arena_reset(arena);
}

static void run_cjson(const struct buffer *review, int run)
{
	int64_t start = processor_time();
	cJSON_Delete(cJSON_ParseWithLength(review->data, review->length));
	times[STAGE_CJSON][run] = processor_time() - start;
}

static void print(const struct buffer *review, const double *medians)
{
	double respond = medians[STAGE_ALL] - medians[STAGE_PARSE] - medians[STAGE_DECIDE];
	printf("%zu %.1f %.1f %.1f %.1f %.1f\n", review->length, medians[STAGE_PARSE],
	       medians[STAGE_DECIDE], respond, medians[STAGE_ALL], medians[STAGE_CJSON]);
}

static void read_review(const char *path, struct buffer *ret_review)
{
	struct error error;
	buffer_init(ret_review, REVIEW_MAX);
	if (!file_read(path, ret_review, &error)) {
		fprintf(stderr, "stages: %s\n", error.message);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct error error = {"usage: stages CONFIG REVIEW…"};
	struct config *config;
	arena = arena_new(ADMISSION_ARENA_MAX);
	if (argc < 3 || arena == NULL || !config_load(argv[1], &config, &error)) {
		fprintf(stderr, "stages: %s\n", error.message);
		return 1;
	}
	context.config = config;
	int count = argc - 2;
	struct buffer *reviews = calloc((size_t)count, sizeof *reviews);
	double(*medians)[STAGE_COUNT] = calloc((size_t)count, sizeof *medians);
	if (reviews == NULL || medians == NULL)
		return 1;
	for (int i = 0; i < count; i++) {
		read_review(argv[i + 2], &reviews[i]);
		for (int run = 0; run < RUNS; run++) {
			run_apart(&reviews[i], run);
			run_whole(&reviews[i], run);
		}
		for (enum stage stage = STAGE_PARSE; stage <= STAGE_ALL; stage++)
			medians[i][stage] = median(stage);
	}
	/* In this process cJSON allocates from an arena (lib/document/json.c); from here on it has
	 * malloc() again. */
	cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = malloc, .free_fn = free});
	for (int i = 0; i < count; i++) {
		for (int run = 0; run < RUNS; run++)
			run_cjson(&reviews[i], run);
		medians[i][STAGE_CJSON] = median(STAGE_CJSON);
		print(&reviews[i], medians[i]);
		buffer_free(&reviews[i]);
	}
	free(medians);
	free(reviews);
	config_free(config);
	arena_free(arena);
	return 0;
}
