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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_record_builder)};
	return cmocka_run_group_tests_name("record builder", tests, NULL, NULL);
}
