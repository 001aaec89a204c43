/* When a pod is silent: tests/data/silence/cases.yaml, whose beginning describes a case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/files.h"
#include "lib/base/timestamp.h"
#include "lib/document/yaml.h"
#include "lib/kube/names.h"
#include "observer/pod/silence.h"

#define CASES        "tests/data/silence/cases.yaml"
#define CASES_LEAST  30
#define SILENT_AFTER (30 * SECOND)
#define BEGIN        (INT64_C(1795456800) * SECOND) /* 2026-11-23T18:00:00Z */

static json *time_at(struct arena *arena, int64_t seconds)
{
	char text[TIMESTAMP_SIZE];
	timestamp_print(BEGIN + seconds * SECOND, text);
	return json_new_string(arena, arena_printf(arena, "%.19sZ", text));
}

/* The case's number as a time, or 1970 for null. */
static json *time_of(struct arena *arena, const json *number)
{
	int64_t seconds;
	return json_integer(number, &seconds) ? time_at(arena, seconds)
	                                      : json_new_string(arena, "1970-01-01T00:00:00Z");
}

/* [exit code, started, finished] as a container's `terminated`. */
static json *terminated(struct arena *arena, const json *run, const char *reason)
{
	json *state = json_new_object(arena);
	json *inner = json_new_object(arena);
	int64_t code = 0;
	json_integer(json_at(run, 0), &code);
	json_add_member(arena, inner, "exitCode", json_new_integer(arena, code));
	json_add_member(arena, inner, "reason",
	                json_new_string(arena, reason != NULL ? reason
	                                       : code == 0    ? "Completed"
	                                                      : "Error"));
	json_add_member(arena, inner, "startedAt", time_of(arena, json_at(run, 1)));
	json_add_member(arena, inner, "finishedAt", time_of(arena, json_at(run, 2)));
	json_add_member(arena, state, "terminated", inner);
	return state;
}

static json *with_text(struct arena *arena, const char *outer, const char *key, json *value)
{
	json *state = json_new_object(arena);
	json *inner = json_new_object(arena);
	json_add_member(arena, inner, key, value);
	json_add_member(arena, state, outer, inner);
	return state;
}

static json *status_of(struct arena *arena, const json *container)
{
	json *status = json_new_object(arena);
	json *state = json_new_object(arena);
	int64_t restarts = json_get(container, "last") != NULL;
	json_integer(json_get(container, "restarts"), &restarts);
	if (json_get(container, "running") != NULL)
		state = with_text(arena, "running", "startedAt",
		                  time_of(arena, json_get(container, "running")));
	if (json_get(container, "waiting") != NULL)
		state = with_text(arena, "waiting", "reason",
		                  json_new_string(arena, json_get_string(container, "waiting")));
	if (json_get(container, "terminated") != NULL)
		state = terminated(arena, json_get(container, "terminated"),
		                   json_get_string(container, "reason"));
	json_add_member(arena, status, "name", json_new_string(arena, json_key(container)));
	json_add_member(arena, status, "restartCount", json_new_integer(arena, restarts));
	json_add_member(arena, status, "state", state);
	if (json_get(container, "last") != NULL)
		json_add_member(arena, status, "lastState",
		                terminated(arena, json_get(container, "last"), NULL));
	return status;
}

static json *metadata_of(struct arena *arena, const json *c)
{
	static const char *const members[][2] = {
	        {"namespace", "agents"}, {"name", "coder"}, {"uid", "12345678"}};
	json *metadata = json_new_object(arena);
	int64_t deleted;
	for (size_t i = 0; i < 3; i++)
		json_add_member(arena, metadata, members[i][0],
		                json_new_string(arena, members[i][1]));
	if (json_integer(json_get(c, "deleted"), &deleted)) {
		json_add_member(arena, metadata, "deletionTimestamp", time_at(arena, deleted + 30));
		json_add_member(arena, metadata, "deletionGracePeriodSeconds",
		                json_new_integer(arena, 30));
	}
	return metadata;
}

static json *pod_status_of(struct arena *arena, const json *c)
{
	json *status = json_new_object(arena);
	json *statuses = json_new_array(arena);
	for (const json *n = json_first(json_get(c, "pod")); n != NULL; n = json_next(n))
		json_append(statuses, status_of(arena, n));
	json_add_member(arena, status, "phase",
	                json_new_string(arena, json_get_string_or(c, "phase", "Running")));
	if (json_get(c, "reason") != NULL)
		json_add_member(arena, status, "reason",
		                json_new_string(arena, json_get_string(c, "reason")));
	json_add_member(arena, status, "containerStatuses", statuses);
	if (json_get(c, "disrupted") != NULL) {
		json *condition = json_new_object(arena);
		json *conditions = json_new_array(arena);
		json_add_member(arena, condition, "type",
		                json_new_string(arena, "DisruptionTarget"));
		json_add_member(arena, condition, "status", json_new_string(arena, "True"));
		json_add_member(arena, condition, "reason",
		                json_new_string(arena, "TerminationByKubelet"));
		json_add_member(arena, condition, "lastTransitionTime",
		                time_of(arena, json_get(c, "disrupted")));
		json_append(conditions, condition);
		json_add_member(arena, status, "conditions", conditions);
	}
	return status;
}

static json *pod_of(struct arena *arena, const json *c)
{
	json *pod = json_new_object(arena);
	json *spec = json_new_object(arena);
	json *containers = json_new_array(arena);
	for (const json *n = json_first(json_get(c, "pod")); n != NULL; n = json_next(n)) {
		json *container = json_new_object(arena);
		json_add_member(arena, container, "name", json_new_string(arena, json_key(n)));
		if (strcmp(json_key(n), NAME_WATCHDOG) == 0) {
			json *command = json_new_array(arena);
			json_append(command, json_new_string(arena, "--container"));
			json_append(command, json_new_string(arena, "main"));
			json_add_member(arena, container, "command", command);
		}
		if (strcmp(json_key(n), "main") == 0 && json_get(c, "rules") != NULL)
			json_add_member(arena, container, "restartPolicyRules",
			                json_duplicate(arena, json_get(c, "rules")));
		json_append(containers, container);
	}
	json_add_member(arena, spec, "restartPolicy",
	                json_new_string(arena, json_get_string_or(c, "policy", "Never")));
	json_add_member(arena, spec, "containers", containers);
	json_add_member(arena, pod, "metadata", metadata_of(arena, c));
	json_add_member(arena, pod, "spec", spec);
	json_add_member(arena, pod, "status", pod_status_of(arena, c));
	return pod;
}

static int64_t seconds_of(int64_t time)
{
	return time == 0 ? 0 : (time - BEGIN) / SECOND;
}

/* As an entry of `expect` is written. */
static void print_silence(struct buffer *out, bool begins, const struct silence *silence)
{
	static const char *const ends[] = {"lasts", "pod-ended", "pod-gone", "agent-restarted"};
	if (!begins)
		buffer_append_text(out, "none; ");
	else
		buffer_printf(out, "%" PRId64 " %" PRId64 " %s %" PRId64 "; ",
		              seconds_of(silence->failed_at), seconds_of(silence->confirmed_at),
		              ends[silence->end], seconds_of(silence->ended_at));
}

static void print_expected(struct buffer *out, const json *expect)
{
	for (const json *n = json_first(expect); n != NULL; n = json_next(n)) {
		int64_t failed = 0;
		int64_t confirmed = 0;
		int64_t ended = 0;
		if (json_string_is(n, "none")) {
			buffer_append_text(out, "none; ");
			continue;
		}
		assert_true(json_integer(json_get(n, "failed"), &failed) &&
		            json_integer(json_get(n, "confirmed"), &confirmed) &&
		            json_integer(json_get(n, "ended"), &ended));
		buffer_printf(out, "%" PRId64 " %" PRId64 " %s %" PRId64 "; ", failed, confirmed,
		              json_get_string_or(n, "end", ""), ended);
	}
}

static bool is_right(struct arena *arena, const json *c)
{
	struct pod pod;
	struct termination terminations[2];
	char expected_storage[512];
	char got_storage[512];
	struct buffer expected;
	struct buffer got;
	int64_t now = 1000;
	buffer_init_fixed(&expected, expected_storage, sizeof expected_storage);
	buffer_init_fixed(&got, got_storage, sizeof got_storage);
	json_integer(json_get(c, "now"), &now);
	assert_true(pod_read(arena, pod_of(arena, c), &pod, NULL));
	assert_int_equal(pod.agent_count, 1);
	size_t count = termination_read(arena, &pod, &pod.agents[0], terminations);
	for (size_t i = 0; i < count; i++) {
		struct silence silence;
		bool begins = silence_read(&pod, &pod.agents[0], &terminations[i],
		                           json_is_true(json_get(c, "gone")), SILENT_AFTER,
		                           BEGIN + now * SECOND, &silence);
		print_silence(&got, begins, &silence);
	}
	print_expected(&expected, json_get(c, "expect"));
	bool right = strcmp(buffer_text(&got), buffer_text(&expected)) == 0;
	if (!right)
		print_error("%s: %s, not %s\n", json_get_string_or(c, "name", "?"),
		            buffer_text(&got), buffer_text(&expected));
	return right;
}

static void test_silence(void **state)
{
	(void)state;
	struct arena *arena = arena_new((size_t)64 << 20);
	struct error error = {""};
	struct yaml_document *document;
	struct buffer text;
	size_t wrong = 0;
	buffer_init(&text, 1 << 20);
	if (!file_read(CASES, &text, &error) ||
	    !yaml_parse_one(arena, buffer_text(&text), text.length, &document, &error))
		fail_msg("%s: %s", CASES, error.message);
	assert_true(json_size(document->root) >= CASES_LEAST);
	for (const json *n = json_first(document->root); n != NULL; n = json_next(n))
		wrong += !is_right(arena, n);
	buffer_free(&text);
	arena_free(arena);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_silence)};
	return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
