/*
 * Realistic terminations of agents: tests/data/diagnosis/NAME.log is the output, NAME.expect says
 * how it ended and what must come out. LASTWORD_RECORD=1 in the environment rewrites the outcome
 * (all but the cause), to be read in the diff.
 *
 * NAME.expect has lines "key: value"; observed: exit, signal, vanished, not-executed, oom-kills,
 * killed-by-us, told-to-terminate, reason, pod-reason, disruption; expected: cause, summary,
 * normalised, fingerprint, and after "snippet:" the snippet to the end of the file.
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
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/normalise.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/snippet.h"

#define FOLDER      "tests/data/diagnosis/"
#define CASES_LEAST 160

static size_t read_file(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("no file %s", path);
	size_t length = fread(out, 1, size - 1, file);
	fclose(file);
	out[length] = '\0';
	return length;
}

/* Sets what one line of the expectations says was observed; false: the line expects something. */
static bool observe(struct observation *o, const char *key, const char *value)
{
	if (strcmp(key, "exit") == 0) {
		o->ended = ENDED_EXITED;
		o->exit_code = atoi(value);
	} else if (strcmp(key, "signal") == 0) {
		o->ended = ENDED_SIGNALED;
		o->signal = atoi(value);
	} else if (strcmp(key, "vanished") == 0) {
		o->ended = ENDED_VANISHED;
	} else if (strcmp(key, "not-executed") == 0) {
		o->ended = ENDED_NOT_EXECUTED;
		o->exit_code = atoi(value);
	} else if (strcmp(key, "oom-kills") == 0) {
		o->oom_kills = (uint64_t)atoi(value);
	} else if (strcmp(key, "killed-by-us") == 0) {
		o->killed_by_us = strcmp(value, "deadline") == 0 ? KILLED_BY_US_DEADLINE
		                                                 : KILLED_BY_US_SILENCE;
	} else if (strcmp(key, "told-to-terminate") == 0) {
		o->termination_requested = true;
	} else if (strcmp(key, "reason") == 0) {
		o->container_reason = value;
	} else if (strcmp(key, "pod-reason") == 0) {
		o->pod_reason = value;
	} else if (strcmp(key, "disruption") == 0) {
		o->disruption = value;
	} else {
		return false;
	}
	return true;
}

/* Reads the observed lines of text, which it cuts up; returns the expected cause. */
static const char *read_observation(char *text, struct observation *o, struct buffer *observed)
{
	const char *cause = "";
	char *rest;
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strstr(line, ": ");
		if (colon == NULL || strcmp(line, "snippet:") == 0)
			break;
		*colon = '\0';
		bool is_cause = strcmp(line, "cause") == 0;
		if (is_cause)
			cause = colon + 2;
		if (observe(o, line, colon + 2) || is_cause)
			buffer_printf(observed, "%s: %s\n", line, colon + 2);
	}
	return cause;
}

/* Prints what is wrong and returns false. */
static bool judge(const char *log_path)
{
	static char log[1 << 20];
	static char expected[8192];
	static char cut_up[8192];
	static char outcome_storage[8192];
	char path[512];
	snprintf(path, sizeof path, "%.*s.expect", (int)strlen(log_path) - 4, log_path);
	size_t length = read_file(log_path, log, sizeof log);
	read_file(path, expected, sizeof expected);
	memcpy(cut_up, expected, sizeof cut_up);

	struct observation observation = {0};
	struct buffer outcome;
	buffer_init_fixed(&outcome, outcome_storage, sizeof outcome_storage);
	const char *wanted = read_observation(cut_up, &observation, &outcome);
	struct snippet snippet;
	length = redact(NULL, false, log, length, NULL);
	snippet_pick(NULL, log, length, &snippet);
	observation.snippet = &snippet;
	enum cause cause = classify(&observation, NULL);
	if (strcmp(cause_name(cause), wanted) != 0) {
		print_error("%s: cause %s, not %s; statement: %s\n", log_path, cause_name(cause),
		            wanted, snippet.statement);
		return false;
	}

	char print[FINGERPRINT_SIZE];
	fingerprint("Job/nightly-28412345", "main", wanted, snippet.statement,
	            snippet.statement_length, print);
	buffer_append_text(&outcome, "summary: ");
	classify_summary(&observation, cause, &outcome);
	buffer_append_text(&outcome, "\nnormalised: ");
	normalise(snippet.statement, snippet.statement_length, &outcome);
	buffer_printf(&outcome, "\nfingerprint: %s\nsnippet:\n%s\n", print, snippet.text);
	assert_true(buffer_ok(&outcome));
	if (getenv("LASTWORD_RECORD") != NULL) {
		FILE *file = fopen(path, "wb");
		assert_non_null(file);
		fputs(buffer_text(&outcome), file);
		fclose(file);
	} else if (strcmp(buffer_text(&outcome), expected) != 0) {
		print_error("%s is\n%s\nnot\n%s\n", path, buffer_text(&outcome), expected);
		return false;
	}
	return true;
}

static void test_diagnosis(void **state)
{
	(void)state;
	glob_t found;
	size_t wrong = 0;
	assert_int_equal(glob(FOLDER "*.log", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= CASES_LEAST);
	for (size_t i = 0; i < found.gl_pathc; i++)
		wrong += !judge(found.gl_pathv[i]);
	globfree(&found);
	assert_int_equal(wrong, 0);
}

/* --- tests/data/failures.txt --- */

#define FAILURES_LEAST 420
#define LINES_MAX      4

/* One case of the file, which explains its form. */
struct failure {
	char name[64];
	int exit_code;
	char causes[128];
	char detail[64];
	char lines[LINES_MAX][256];
	size_t line_count;
	char wrong[64];
	char log[64 * 1024];
	size_t length;
};

static bool read_field(struct failure *failure, const char *line)
{
	if (sscanf(line, "exit: %d", &failure->exit_code) == 1 ||
	    sscanf(line, "detail: %63s", failure->detail) == 1)
		return true;
	if (strncmp(line, "cause: ", 7) == 0)
		snprintf(failure->causes, sizeof failure->causes, "%.120s", line + 7);
	else if (strncmp(line, "wrong: ", 7) == 0)
		snprintf(failure->wrong, sizeof failure->wrong, "%.60s", line + 7);
	else if (strncmp(line, "lines: ", 7) == 0 && failure->line_count < LINES_MAX)
		snprintf(failure->lines[failure->line_count++], sizeof failure->lines[0], "%.250s",
		         line + 7);
	else
		return false;
	return true;
}

static bool has_lines(const struct failure *failure, const char *text)
{
	for (size_t i = 0; i < failure->line_count; i++)
		if (strstr(text, failure->lines[i]) != NULL)
			return true;
	return false;
}

/* What came out wrong is what is known to be, in "cause, detail, lines, summary". */
static bool judge_failure(struct failure *failure)
{
	struct snippet snippet;
	char storage[SUMMARY_SIZE_MAX + 1];
	char wrong_storage[64];
	struct buffer summary;
	struct buffer wrong;
	buffer_init_fixed(&summary, storage, sizeof storage);
	buffer_init_fixed(&wrong, wrong_storage, sizeof wrong_storage);
	failure->length = redact(NULL, false, failure->log, failure->length, NULL);
	snippet_pick(NULL, failure->log, failure->length, &snippet);
	struct observation observation = {
	        .ended = ENDED_EXITED, .exit_code = failure->exit_code, .snippet = &snippet};
	enum cause cause = classify(&observation, NULL);
	const char *detail = classify_detail(&observation, cause);
	classify_summary(&observation, cause, &summary);
	if (strstr(failure->causes, cause_name(cause)) == NULL)
		buffer_append_text(&wrong, ", cause");
	if (failure->detail[0] != '\0' && (detail == NULL || strcmp(detail, failure->detail) != 0))
		buffer_append_text(&wrong, ", detail");
	if (!has_lines(failure, snippet.text))
		buffer_append_text(&wrong, ", lines");
	if (!has_lines(failure, buffer_text(&summary)))
		buffer_append_text(&wrong, ", summary");
	const char *found = wrong.length > 0 ? buffer_text(&wrong) + 2 : "";
	if (strcmp(found, failure->wrong) == 0)
		return true;
	print_error("%s: wrong is \"%s\", not \"%s\"; %s\n%s\n", failure->name, found,
	            failure->wrong, buffer_text(&summary), snippet.text);
	return false;
}

static void test_failures(void **state)
{
	(void)state;
	static struct failure failure;
	static char line[8192];
	size_t cases = 0;
	size_t wrong = 0;
	bool in_log = false;
	FILE *file = fopen("tests/data/failures.txt", "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, "### ", 4) == 0) {
			wrong += cases > 0 && !judge_failure(&failure);
			memset(&failure, 0, sizeof failure);
			assert_int_equal(sscanf(line, "### %63s", failure.name), 1);
			cases++;
			in_log = false;
		} else if (in_log) {
			size_t skip = line[0] == '\\';
			size_t length = strlen(line + skip);
			assert_true(length < sizeof failure.log - failure.length);
			memcpy(failure.log + failure.length, line + skip, length);
			failure.length += length;
		} else if (strcmp(line, "---\n") == 0) {
			in_log = true;
		} else if (cases > 0) {
			line[strcspn(line, "\n")] = '\0';
			if (!read_field(&failure, line))
				fail_msg("%s: %s", failure.name, line);
		}
	}
	fclose(file);
	wrong += !judge_failure(&failure);
	assert_true(cases >= FAILURES_LEAST);
	assert_int_equal(wrong, 0);
}

static void test_names(void **state)
{
	(void)state;
	char storage[SIGNAL_NAME_SIZE];
	assert_string_equal(signal_name(11, storage), "SIGSEGV");
	assert_string_equal(signal_name(34, storage), "SIGRTMIN");
	assert_string_equal(signal_name(37, storage), "SIGRTMIN+3");
	assert_null(signal_name(0, storage));
	assert_null(signal_name(65, storage));
	enum cause cause = CAUSE_ERROR;
	assert_false(cause_from_name("oomkilled", &cause));
	assert_int_equal(cause, CAUSE_ERROR);
	for (unsigned i = 0; i < CAUSE_COUNT; i++) {
		assert_true(cause_from_name(cause_name((enum cause)i), &cause));
		assert_int_equal(cause, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_diagnosis),
	        cmocka_unit_test(test_failures),
	        cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
