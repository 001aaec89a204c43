/* Metrics as Prometheus text, and the log's lines. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/http/metrics.h"
#include "lib/http/process_metrics.h"
#include "webhook/review_log.h"

static void assert_written(struct metrics *metrics, const char *expected)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	metrics_write(metrics, &out);
	assert_true(buffer_ok(&out));
	assert_string_equal(buffer_text(&out), expected);
	buffer_free(&out);
}

static void test_text(void **state)
{
	(void)state;
	static const double buckets[] = {0.1, 1, 10};
	static const struct metric_definition counter = {.type = METRIC_COUNTER,
	                                                 .name = "a_total",
	                                                 .help = "Line\nand \\.",
	                                                 .labels = {"x", "y"}};
	static const struct metric_definition gauge = {
	        .type = METRIC_GAUGE, .name = "g", .help = "A gauge."};
	static const struct metric_definition histogram = {.type = METRIC_HISTOGRAM,
	                                                   .name = "h",
	                                                   .help = "H.",
	                                                   .labels = {"l"},
	                                                   .buckets = buckets,
	                                                   .bucket_count = 3};
	struct metrics *metrics = metrics_new();
	struct metric_family *family = metrics_add(metrics, &counter);
	struct metric *first = metric_get(family, (const char *const[]){"1", "q\"b\\n\n"});
	struct metric *second = metric_get(family, (const char *const[]){"2", ""});
	assert_ptr_equal(first, metric_get(family, (const char *const[]){"1", "q\"b\\n\n"}));
	metric_add(first, 2);
	metric_add(first, 0.5);
	struct metric *g = metric_get(metrics_add(metrics, &gauge), NULL);
	metric_set(g, 1e9);
	metric_add(g, -1);
	struct metric *h = metric_get(metrics_add(metrics, &histogram), (const char *const[]){"v"});
	metric_observe(h, 0.1);
	metric_observe(h, 0.5);
	metric_observe(h, 100);
	assert_true(metric_value(second) < 1);
	assert_written(metrics, "# HELP a_total Line\\nand \\\\.\n"
	                        "# TYPE a_total counter\n"
	                        "a_total{x=\"1\",y=\"q\\\"b\\\\n\\n\"} 2.5\n"
	                        "a_total{x=\"2\",y=\"\"} 0\n"
	                        "# HELP g A gauge.\n"
	                        "# TYPE g gauge\n"
	                        "g 999999999\n"
	                        "# HELP h H.\n"
	                        "# TYPE h histogram\n"
	                        "h_bucket{l=\"v\",le=\"0.1\"} 1\n"
	                        "h_bucket{l=\"v\",le=\"1\"} 2\n"
	                        "h_bucket{l=\"v\",le=\"10\"} 2\n"
	                        "h_bucket{l=\"v\",le=\"+Inf\"} 3\n"
	                        "h_sum{l=\"v\"} 100.6\n"
	                        "h_count{l=\"v\"} 3\n");
	metrics_free(metrics);
	metrics_free(NULL);
	metric_add(NULL, 1);
	metric_set(NULL, 1);
	metric_observe(NULL, 1);
	assert_null(metric_get(NULL, NULL));
}

static void test_series_are_bounded(void **state)
{
	(void)state;
	static const struct metric_definition definition = {.type = METRIC_COUNTER,
	                                                    .name = "c_total",
	                                                    .help = "C.",
	                                                    .labels = {"agent"},
	                                                    .limit = 3};
	struct metrics *metrics = metrics_new();
	struct metric_family *family = metrics_add(metrics, &definition);
	for (int i = 0; i < 100; i++) {
		char name[16];
		snprintf(name, sizeof name, "a%d", i);
		metric_add(metric_get(family, (const char *const[]){name}), 1);
	}
	assert_written(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
	                        "c_total{agent=\"a0\"} 1\nc_total{agent=\"a1\"} 1\n"
	                        "c_total{agent=\"a2\"} 1\nc_total{agent=\"other\"} 97\n");
	metrics_free(metrics);
}

static void *count(void *metric)
{
	for (int i = 0; i < 20000; i++)
		metric_add(metric, 1);
	return NULL;
}

static void test_threads_lose_nothing(void **state)
{
	(void)state;
	static const struct metric_definition definition = {
	        .type = METRIC_COUNTER, .name = "c_total", .help = "C."};
	struct metrics *metrics = metrics_new();
	struct metric *metric = metric_get(metrics_add(metrics, &definition), NULL);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, metric), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal((int)metric_value(metric), 80000);
	metrics_free(metrics);
}

/* Standard error in a pipe while a function logs; the text is the caller's to free. */
static char *logged(void (*function)(void))
{
	FILE *file = tmpfile();
	assert_non_null(file);
	int saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	function();
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	char *text = calloc(1, 1 << 20);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) < (1 << 20) - 1);
	fclose(file);
	return text;
}

static void log_some(void)
{
	log_set_level(LOG_INFO);
	log_message(LOG_DEBUG, "not wanted", NULL);
	log_message(LOG_WARNING, "a \"b\"\n", "k", "v", "none", NULL, NULL);
	struct log_line line;
	log_begin(&line, LOG_ERROR, "e");
	log_integer(&line, "n", -5);
	log_json(&line, "j", "{\"x\":[1]}");
	log_end(&line);
}

static void test_log_lines(void **state)
{
	(void)state;
	char *text = logged(log_some);
	char *second = strchr(text, '\n') + 1;
	assert_memory_equal(text, "{\"time\":\"20", 11);
	assert_non_null(strstr(text, "Z\",\"level\":\"warning\",\"message\":\"a \\\"b\\\"\\n\","
	                             "\"k\":\"v\"}\n"));
	assert_non_null(strstr(second, "\"level\":\"error\",\"message\":\"e\",\"n\":-5,"
	                               "\"j\":{\"x\":[1]}}\n"));
	assert_null(strstr(text, "not wanted"));
	free(text);
}

static void log_too_much(void)
{
	char *long_text = malloc(LOG_LINE_MAX);
	assert_non_null(long_text);
	memset(long_text, 'x', LOG_LINE_MAX - 1);
	long_text[LOG_LINE_MAX - 1] = '\0';
	log_message(LOG_INFO, "m", "short", "s", "long", long_text, "after", "a", NULL);
	free(long_text);
}

static void test_a_long_line_stays_json(void **state)
{
	(void)state;
	char *text = logged(log_too_much);
	struct arena *arena = arena_new(1 << 20);
	json *root;
	struct error error;
	assert_int_equal(json_parse(arena, text, strlen(text), 0, &root, &error), JSON_FAITHFUL);
	assert_true(json_is_true(json_get(root, "truncated")));
	assert_string_equal(json_get_string(root, "short"), "s");
	assert_null(json_get(root, "long"));
	arena_free(arena);
	free(text);
}

static void test_series_are_forgotten(void **state)
{
	static const struct metric_definition definition = {.type = METRIC_COUNTER,
	                                                    .name = "c_total",
	                                                    .help = "C.",
	                                                    .labels = {"a", "b"},
	                                                    .limit = 3};
	static const char *const values[][2] = {{"1", "x"}, {"2", "x"}, {"1", "y"}};
	(void)state;
	struct metrics *metrics = metrics_new();
	struct metric_family *family = metrics_add(metrics, &definition);
	for (size_t i = 0; i < 3; i++)
		metric_add(metric_get(family, values[i]), 1);
	metric_forget(family, (const char *const[]){"1"}, 1);
	assert_written(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
	                        "c_total{a=\"2\",b=\"x\"} 1\n");
	/* There is room again, at the end. */
	metric_add(metric_get(family, values[2]), 1);
	metric_forget(family, values[1], 2);
	assert_written(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
	                        "c_total{a=\"1\",b=\"y\"} 1\n");
	metric_forget(family, NULL, 0);
	metric_forget(NULL, NULL, 0);
	metric_add(metric_get(family, values[0]), 2);
	assert_written(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
	                        "c_total{a=\"1\",b=\"x\"} 2\n");
	metrics_free(metrics);
}

static void test_limit(void **state)
{
	(void)state;
	struct log_limit limit = {0};
	uint64_t dropped = 0;
	int passed = 0;
	for (int i = 0; i < 1000; i++)
		passed += log_limit_pass(&limit, &dropped);
	assert_true(passed >= LOG_LIMIT_BURST && passed < LOG_LIMIT_BURST + 30);
	limit.next = 0; /* a long time later */
	assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 1000 - passed);
}

/* Lines that pass of so many in one second. */
static unsigned lines_of(struct review_log *log, const char *client, bool trouble, int64_t second,
                         unsigned reviews, uint64_t *ret_dropped)
{
	unsigned passed = 0;
	*ret_dropped = 0;
	for (unsigned i = 0; i < reviews; i++) {
		uint64_t dropped = 0;
		passed += review_log_pass(log, client, trouble,
		                          second * SECOND + SECOND / reviews * i, &dropped);
		*ret_dropped += dropped;
	}
	return passed;
}

static void test_lines_of_each_client(void **state)
{
	(void)state;
	uint64_t dropped;
	struct review_log *log = calloc(1, sizeof *log);
	assert_non_null(log);
	uint64_t reported = 0;
	unsigned passed = lines_of(log, "10.0.0.1", false, 1000, 10000, &dropped);
	reported += dropped;
	assert_in_range(passed, 250, 350 + 2); /* the bursts, and a second's lines */
	unsigned later = lines_of(log, "10.0.0.1", false, 1001, 10000, &dropped);
	reported += dropped;
	assert_in_range(later, 99, 102);
	assert_int_equal(lines_of(log, "10.0.0.2", false, 1001, 40, &dropped), 40);
	assert_int_equal(dropped, 0);
	assert_in_range(lines_of(log, "10.0.0.1", true, 1001, 100, &dropped), 20, 21);

	/* What was dropped is told with the next line. */
	assert_int_equal(lines_of(log, "10.0.0.1", false, 2000, 1, &dropped), 1);
	assert_int_equal(reported + dropped, 20000 - passed - later);

	/* A hundred strangers at once: all together are bounded, and each has lines of its own. */
	char client[32];
	unsigned total = 0;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(client, sizeof client, "10.1.0.%u", i);
		passed = lines_of(log, client, false, 3000, 1000, &dropped);
		total += passed;
	}
	assert_in_range(total, 100 * 40, 100 * 60 + 1000 + 500 + 100);
	free(log);
}

static void test_levels(void **state)
{
	(void)state;
	enum log_level level;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_ERROR);
	assert_false(log_level_parse("loud", &level));
}

static double process_value(struct process_metrics *process, enum process_metric which)
{
	process_metrics_update(process);
	return metric_value(metric_get(process->families[which], NULL));
}

static void test_process(void **state)
{
	(void)state;
	double now = (double)clock_wall() / 1e9;
	struct metrics *metrics = metrics_new();
	struct process_metrics process;
	process_metrics_add(&process, metrics);
	double cpu = process_value(&process, PROCESS_CPU_SECONDS);
	for (volatile unsigned i = 0; process_value(&process, PROCESS_CPU_SECONDS) <= cpu; i++)
		continue; /* a clock tick of work */
	double memory = process_value(&process, PROCESS_RESIDENT_MEMORY);
	assert_true(memory > 1e6);
	volatile char *more = malloc(32 << 20);
	for (size_t i = 0; i < 32 << 20; i += 4096)
		more[i] = 1;
	assert_true(process_value(&process, PROCESS_RESIDENT_MEMORY) > memory + 16e6);
	free((void *)more);

	int open_before = (int)process_value(&process, PROCESS_OPEN_FDS);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal((int)process_value(&process, PROCESS_OPEN_FDS), open_before + 1);
	close(file);
	assert_int_equal((int)process_value(&process, PROCESS_OPEN_FDS), open_before);
	assert_int_equal((long)process_value(&process, PROCESS_MAX_FDS), sysconf(_SC_OPEN_MAX));

	/* A tick is a hundredth of a second; the test's process started within these minutes. */
	double start = process_value(&process, PROCESS_START_TIME);
	assert_true(start > now - 600 && start < now + 1);
	assert_true(!(start < process_value(&process, PROCESS_START_TIME)) &&
	            !(start > process_value(&process, PROCESS_START_TIME)));
	metrics_free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_text),
	        cmocka_unit_test(test_series_are_bounded),
	        cmocka_unit_test(test_threads_lose_nothing),
	        cmocka_unit_test(test_log_lines),
	        cmocka_unit_test(test_a_long_line_stays_json),
	        cmocka_unit_test(test_series_are_forgotten),
	        cmocka_unit_test(test_limit),
	        cmocka_unit_test(test_lines_of_each_client),
	        cmocka_unit_test(test_levels),
	        cmocka_unit_test(test_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
