/*
 * stages: what each stage of an admission review costs, without network, beside cJSON's own parser
 * on the same bytes. Microseconds of processor time, the best of some runs.
 *
 * stages CONFIG REVIEW…; prints for each review: bytes, parse (bytes to tree, UTF-8, duplicate
 * keys), decide (policy, patch, applied and verified), respond (patch, base64, decision record),
 * all, and cJSON_Parse().
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "lib/base/clock.h"
#include "lib/base/files.h"
#include "webhook/admission.h"

#define REVIEW_MAX ((size_t)16 * 1024 * 1024)
#define RUNS       400

enum stage { STAGE_PARSE, STAGE_DECIDE, STAGE_ALL, STAGE_CJSON, STAGE_COUNT };

static struct admission_context context;
static struct arena *arena;

/* Of this thread's processor time: others may be at work on the machine. */
static int64_t processor_time(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void keep_best(int64_t *best, int64_t start)
{
	int64_t time = processor_time() - start;
	*best = time < *best ? time : *best;
}

static void run_apart(const struct buffer *review, int64_t *best)
{
	json *root;
	struct error error;
	struct injection injection;
	int64_t start = processor_time();
	json_parse(arena, review->data, review->length, 0, &root, &error);
	keep_best(&best[STAGE_PARSE], start);
	json *request = json_get(root, "request");
	const char *namespace = json_get_string_or(request, "namespace", "");
	json *pod = json_get(request, "object");
	start = processor_time();
	if (admission_is_pod_creation(request))
		injection_make(&context, namespace, arena, pod, &injection);
	keep_best(&best[STAGE_DECIDE], start);
	arena_reset(arena);
}

static void run_whole(const struct buffer *review, int64_t *best)
{
	struct admission_response response;
	buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
	int64_t start = processor_time();
	admission_review(&context, arena, review->data, review->length, &response);
	buffer_free(&response.body);
	keep_best(&best[STAGE_ALL], start);
	arena_reset(arena);
}

static void run_cjson(const struct buffer *review, int64_t *best)
{
	int64_t start = processor_time();
	cJSON_Delete(cJSON_ParseWithLength(review->data, review->length));
	keep_best(&best[STAGE_CJSON], start);
}

static void print(const struct buffer *review, const int64_t *best)
{
	int64_t respond = best[STAGE_ALL] - best[STAGE_PARSE] - best[STAGE_DECIDE];
	printf("%zu %.1f %.1f %.1f %.1f %.1f\n", review->length, (double)best[STAGE_PARSE] / 1e3,
	       (double)best[STAGE_DECIDE] / 1e3, (double)respond / 1e3,
	       (double)best[STAGE_ALL] / 1e3, (double)best[STAGE_CJSON] / 1e3);
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
	int64_t(*best)[STAGE_COUNT] = malloc((size_t)count * sizeof *best);
	if (reviews == NULL || best == NULL)
		return 1;
	for (int i = 0; i < count; i++) {
		read_review(argv[i + 2], &reviews[i]);
		for (size_t stage = 0; stage < STAGE_COUNT; stage++)
			best[i][stage] = INT64_MAX;
		for (int run = 0; run < RUNS; run++) {
			run_apart(&reviews[i], best[i]);
			run_whole(&reviews[i], best[i]);
		}
	}
	/* In this process cJSON allocates from an arena (lib/document/json.c); from here on it has
	 * malloc() again. */
	cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = malloc, .free_fn = free});
	for (int i = 0; i < count; i++) {
		for (int run = 0; run < RUNS; run++)
			run_cjson(&reviews[i], best[i]);
		print(&reviews[i], best[i]);
		buffer_free(&reviews[i]);
	}
	free(best);
	free(reviews);
	config_free(config);
	arena_free(arena);
	return 0;
}
