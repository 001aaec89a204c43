/*
 * Every way in which the API shows a termination, and the record that is built from it:
 * tests/data/records/NAME.yaml has `pod` (what matters of the object), optionally `line` (the
 * watchdog's report) and `log` (the container's own), and `expect`: a list with one entry for each
 * termination that must be found, whose members must be those of the record; `record: false` for a
 * termination that leaves none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/base/files.h"
#include "lib/document/yaml.h"
#include "tests/unit/json_equal.h"
#include "observer/notify/event.h"
#include "observer/record/record_builder.h"

#define FOLDER      "tests/data/records/"
#define CASES_LEAST 25
#define SECOND      INT64_C(1000000000)

/* The pod of the case, with the metadata that the API server adds. */
static json *complete(struct arena *arena, json *pod)
{
	json *metadata = json_get(pod, "metadata");
	if (metadata == NULL) {
		metadata = json_new_object(arena);
		json_add_member(arena, pod, "metadata", metadata);
	}
	json_add_member(arena, metadata, "namespace", json_new_string(arena, "agents"));
	json_add_member(arena, metadata, "name", json_new_string(arena, "coder"));
	json_add_member(arena, metadata, "uid",
	                json_new_string(arena, "12345678-0000-0000-0000-000000000000"));
	return pod;
}

/* All terminations of all agents, as the pod tracker finds them; timeouts count as over. */
static size_t find_ends(struct arena *arena, const struct pod *pod, bool gone,
                        struct termination *terminations)
{
	const struct start_timeouts start_timeouts = {.failing = 60 * SECOND,
	                                              .waiting = 900 * SECOND};
	size_t count = 0;
	for (size_t i = 0; i < pod->agent_count; i++) {
		int64_t due;
		int64_t restart_count;
		count += termination_read(arena, pod, &pod->agents[i], &terminations[count]);
		if (gone && pod_agent_is_running(&pod->agents[i], &restart_count))
			termination_unobserved(arena, pod, &pod->agents[i], &terminations[count++]);
		else if (termination_never_started(arena, pod, &pod->agents[i], &start_timeouts,
		                                   &terminations[count], &due))
			count++;
	}
	return count;
}

/* The record's spec as an object. */
static json *spec_of(struct arena *arena, const struct built_record *built)
{
	struct buffer text;
	json *root;
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(&built->exit, &text);
	assert_int_equal(json_parse(arena, buffer_text(&text), text.length, 0, &root, NULL),
	                 JSON_FAITHFUL);
	buffer_free(&text);
	return json_get(root, "spec");
}

static bool has_members(const char *path, const json *expected, const json *spec)
{
	bool good = true;
	for (const json *n = json_first(expected); n != NULL; n = json_next(n)) {
		const json *got = json_get(spec, json_key(n));
		bool absent = json_is_null(n) && got == NULL;
		if (strcmp(json_key(n), "record") == 0 || absent || json_equal(n, got))
			continue;
		struct buffer text;
		buffer_init(&text, 65536);
		json_print(&text, n, 0);
		buffer_append_text(&text, " expected, got ");
		if (got != NULL)
			json_print(&text, got, 0);
		print_error("%s: %s: %s\n", path, json_key(n), buffer_text(&text));
		buffer_free(&text);
		good = false;
	}
	return good;
}

static bool judge_end(const char *path, struct arena *arena, const json *root,
                      const struct termination *termination, const json *expected)
{
	struct watchdog_report report;
	struct built_record built;
	struct log_tail log = {.length = 0};
	const json *own = json_get(root, "line");
	const char *output = json_get_string(root, "log");
	bool wanted = json_get(expected, "record") == NULL;
	struct buffer text;
	buffer_init(&text, 65536);
	if (own != NULL)
		json_print(&text, own, 0);
	bool matches = own != NULL &&
	               watchdog_report_read(arena, buffer_text(&text), text.length,
	                                    termination->uid, &report) &&
	               watchdog_report_distance(&report, termination) >= 0;
	if (output != NULL)
		log = (struct log_tail){.bytes = arena_copy(arena, output, strlen(output)),
		                        .length = strlen(output)};
	/* A copy, as it is when logs have been read. */
	struct termination *copy = termination_copy(termination, 65536);
	assert_non_null(copy);
	assert_true(record_build(arena, copy, matches ? &report : NULL,
	                         output == NULL ? NULL : &log, &built));
	bool good = built.record == wanted;
	if (!good)
		print_error("%s: record %d, cause %s\n", path, built.record, built.exit.error_type);
	good = has_members(path, expected, spec_of(arena, &built)) && good;
	buffer_free(&text);
	free(copy);
	return good;
}

static bool build(const char *path)
{
	struct arena *arena = arena_new((size_t)16 << 20);
	struct buffer text;
	struct error error = {""};
	struct yaml_document *document;
	struct pod pod;
	struct termination terminations[POD_AGENTS_MAX * 2];
	buffer_init(&text, 1 << 20);
	if (!file_read(path, &text, &error) ||
	    !yaml_parse_one(arena, buffer_text(&text), text.length, &document, &error))
		fail_msg("%s: %s", path, error.message);
	const json *root = document->root;
	if (!pod_read(arena, complete(arena, json_get(root, "pod")), &pod, &error))
		fail_msg("%s: %s", path, error.message);
	size_t count = find_ends(arena, &pod, json_is_true(json_get(root, "gone")), terminations);
	const json *expected = json_get(root, "expect");
	bool good = count == json_size(expected);
	if (!good)
		print_error("%s: %zu ends\n", path, count);
	for (size_t i = 0; good && i < count; i++)
		good = judge_end(path, arena, root, &terminations[i], json_at(expected, i)) && good;
	buffer_free(&text);
	arena_free(arena);
	return good;
}

static void test_record_builder(void **state)
{
	(void)state;
	glob_t found;
	size_t wrong = 0;
	assert_int_equal(glob(FOLDER "*.yaml", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= CASES_LEAST);
	for (size_t i = 0; i < found.gl_pathc; i++)
		wrong += !build(found.gl_pathv[i]);
	globfree(&found);
	assert_int_equal(wrong, 0);
}

/* ---- Text that is not clean ---- */

static const struct termination failed_run = {.kind = TERMINATION_REPORTED,
                                              .namespace = "a",
                                              .pod = "coder",
                                              .uid = "12345678-0",
                                              .container = "main",
                                              .reason = "Error",
                                              .exit_code = 1,
                                              .final = true};

/* NUL, DEL, a C1 control, a line separator, a bidirectional control. */
#define UNSAFE   "\0 \x7f \xc2\x9b \xe2\x80\xa8 \xe2\x80\xae"
#define REPLACED "\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd"

static void test_output_is_replaced_and_keeps_its_end(void **state)
{
	(void)state;
	static const char output[] = "begin " UNSAFE "\nError: broken " UNSAFE " pipe\n";
	struct arena *arena = arena_new((size_t)1 << 20);
	struct built_record built;
	struct log_tail log = {.bytes = arena_copy(arena, output, sizeof output - 1),
	                       .length = sizeof output - 1};
	assert_true(record_build(arena, &failed_run, NULL, &log, &built));
	const json *spec = spec_of(arena, &built);
	assert_string_equal(json_get_string(spec, "logTail"),
	                    "begin " REPLACED "\nError: broken " REPLACED " pipe\n");
	/* A snippet has spaces for what is a control in ASCII. */
	const char *snippet = json_get_string(spec, "payloadSnippet");
	assert_string_equal(snippet,
	                    "Error: broken     \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd pipe");
	assert_non_null(strstr(json_get_string(spec, "summary"), snippet));
	arena_free(arena);
}

/* What a kubelet, a forged report or a flag says is no cleaner. */
static void test_other_texts_are_replaced(void **state)
{
	(void)state;
	static const char context[] = "color\0red \xe2\x80\xae der";
	struct arena *arena = arena_new((size_t)1 << 20);
	struct built_record built;
	struct termination termination = failed_run;
	termination.message = "died \xc2\x85 of \xe2\x81\xa7 it";
	termination.context = (struct packed_texts){context, sizeof context};
	assert_true(record_build(arena, &termination, NULL, NULL, &built));
	const json *spec = spec_of(arena, &built);
	assert_string_equal(json_get_string(spec, "message"),
	                    "died \xef\xbf\xbd of \xef\xbf\xbd it");
	assert_string_equal(json_string(json_find(spec, "context", "color", NULL)),
	                    "red \xef\xbf\xbd der");
	arena_free(arena);
}

/* As a watchdog of before wrote them, and as anybody in the pod can. */
static void test_a_report_with_nuls_is_taken(void **state)
{
	(void)state;
	static const char line[] =
	        "{\"event\":\"end\",\"uid\":\"12345678-0\",\"container\":\"main\",\"exit_code\":1,"
	        "\"error_type\":\"Error\",\"summary\":\"a\\u0000b\",\"log_tail\":"
	        "\"\\u0000one\\u0000"
	        "\\\\u0000 two \\u202e\\n\"}";
	struct arena *arena = arena_new((size_t)1 << 20);
	struct watchdog_report report;
	struct built_record built;
	assert_true(watchdog_report_read(arena, line, sizeof line - 1, "12345678-0", &report));
	assert_int_equal(watchdog_report_distance(&report, &failed_run), 0);
	assert_true(record_build(arena, &failed_run, &report, NULL, &built));
	const json *spec = spec_of(arena, &built);
	assert_string_equal(json_get_string(spec, "logTail"),
	                    "\xef\xbf\xbdone\xef\xbf\xbd\\u0000 two \xef\xbf\xbd\n");
	assert_string_equal(json_get_string(spec, "summary"), "a\xef\xbf\xbd"
	                                                      "b");
	arena_free(arena);
}

static void test_an_event_fits_however_much_is_replaced(void **state)
{
	(void)state;
	char message[2 * EVENT_MESSAGE_MAX + 1];
	struct arena *arena = arena_new((size_t)1 << 20);
	struct buffer out;
	json *root;
	buffer_init(&out, 65536);
	memset(message, 0x7f, sizeof message - 1);
	message[sizeof message - 1] = '\0';
	event_write(&failed_run, EVENT_POD, "name",
	            &(struct event_text){.reason = "AgentExit", .message = message}, SECOND, &out);
	assert_int_equal(json_parse(arena, out.data, out.length, 0, &root, NULL), JSON_FAITHFUL);
	const char *written = json_get_string(root, "message");
	assert_int_equal(strlen(written), EVENT_MESSAGE_MAX / 3 * 3);
	assert_int_equal(strncmp(written, "\xef\xbf\xbd", 3), 0);
	buffer_free(&out);
	arena_free(arena);
}

/* With many containers the kubelet keeps less of each message than 1000 bytes: its first word may
 * be the second half of a secret. */
static void test_the_message_of_a_pod_with_many_containers(void **state)
{
	(void)state;
	for (size_t containers = 1; containers <= 90; containers++) {
		struct arena *arena = arena_new((size_t)4 << 20);
		struct buffer text;
		struct pod pod;
		struct termination found[2];
		struct built_record built;
		json *root;
		size_t limit = 12288 / containers < 2048 ? 12288 / containers : 2048;
		buffer_init(&text, (size_t)1 << 20);
		buffer_append_text(&text,
		                   "{\"metadata\":{\"namespace\":\"a\",\"name\":\"p\",\"uid\":"
		                   "\"u\"},\"spec\":{\"initContainers\":[{\"name\":\"init\"}],"
		                   "\"containers\":[{\"name\":\"main\"}");
		for (size_t i = 2; i < containers; i++)
			buffer_printf(&text, ",{\"name\":\"c%zu\"}", i);
		buffer_printf(&text,
		              "]},\"status\":{\"containerStatuses\":[{\"name\":\"main\",\"state\":{"
		              "\"terminated\":{\"exitCode\":1,\"message\":\"SECOND-HALF rest "
		              "%*s\"}}}]}}",
		              (int)limit - 17, "x");
		assert_int_equal(json_parse(arena, text.data, text.length, 0, &root, NULL),
		                 JSON_FAITHFUL);
		assert_true(pod_read(arena, root, &pod, NULL));
		assert_int_equal(termination_read(arena, &pod, &pod.agents[0], found), 1);
		assert_int_equal(strlen(found[0].message), limit);
		assert_true(record_build(arena, &found[0], NULL, NULL, &built));
		assert_null(strstr(built.exit.message, "SECOND-HALF"));
		buffer_free(&text);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_record_builder),
	        cmocka_unit_test(test_output_is_replaced_and_keeps_its_end),
	        cmocka_unit_test(test_other_texts_are_replaced),
	        cmocka_unit_test(test_a_report_with_nuls_is_taken),
	        cmocka_unit_test(test_an_event_fits_however_much_is_replaced),
	        cmocka_unit_test(test_the_message_of_a_pod_with_many_containers),
	};
	return cmocka_run_group_tests_name("record builder", tests, NULL, NULL);
}
