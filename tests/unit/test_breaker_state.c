/* The breaker's state as a ConfigMap has it (lib/kube/breaker_state), and which pods a webhook lets
 * through by it (webhook/breaker_table). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/document/json.h"
#include "lib/kube/breaker_state.h"
#include "webhook/breaker_table.h"

#define NOW (INT64_C(1795459075) * SECOND + 123456789) /* 2026-11-23T18:37:55.123456789Z */

static const struct breaker_cause cause = {"image", "Back-off pulling image \"x\"", "job-a-1"};

static void add(struct breaker_state *state, const char *namespace, enum breaker_position position,
                int64_t since)
{
	struct breaker_entry *entry = breaker_state_add(state, namespace);
	assert_non_null(entry);
	if (position == BREAKER_OPEN)
		breaker_entry_open(entry, since, since + 1800 * SECOND, &cause);
	else if (position == BREAKER_HALF_OPEN)
		breaker_entry_half_open(entry, since);
	else
		breaker_entry_close(entry, since);
}

static void write_and_read(const struct breaker_state *state, struct breaker_state *ret_state)
{
	struct buffer _cleanup_buffer_ text;
	struct error error = {""};
	buffer_init(&text, 1 << 20);
	breaker_state_write(state, &text);
	assert_true(buffer_ok(&text));
	assert_true(breaker_state_parse(buffer_text(&text), text.length, ret_state, &error));
}

/* ---- The document ---- */

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ written = {0};
	struct breaker_state _cleanup_breaker_state_ read = {0};
	add(&written, "b", BREAKER_OPEN, NOW);
	add(&written, "a", BREAKER_HALF_OPEN, NOW);
	add(&written, "c", BREAKER_CLOSED, NOW);
	breaker_entry_set_trial(breaker_state_find(&written, "a"), "trial-1");
	write_and_read(&written, &read);
	assert_int_equal(read.count, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct breaker_entry *a = &written.entries[i];
		const struct breaker_entry *b = &read.entries[i];
		assert_string_equal(a->namespace, b->namespace);
		assert_true(a->position == b->position && a->since == b->since &&
		            a->until == b->until);
		assert_string_equal(a->reason, b->reason);
		assert_string_equal(a->message, b->message);
		assert_string_equal(a->pod, b->pod);
		assert_string_equal(a->trial, b->trial);
	}
	assert_string_equal(read.entries[0].trial, "trial-1");
	assert_string_equal(read.entries[1].message, cause.message);
}

static void test_the_documented_form(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ written = {0};
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, 1 << 16);
	add(&written, "agents", BREAKER_OPEN, NOW);
	breaker_state_write(&written, &text);
	assert_string_equal(buffer_text(&text),
	                    "{\"version\":1,\"namespaces\":{\"agents\":{\"state\":\"open\","
	                    "\"since\":\"2026-11-23T18:37:55.123456Z\","
	                    "\"until\":\"2026-11-23T19:07:55.123456Z\",\"reason\":\"image\","
	                    "\"message\":\"Back-off pulling image \\\"x\\\"\","
	                    "\"pod\":\"job-a-1\"}}}");
}

static void test_documents(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *says; /* NULL: it is read */
	} cases[] = {
	        {"{\"version\":1,\"namespaces\":{}}", NULL},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"open\"}}}", NULL},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"open\",\"new\":[1]}},\"x\":1}",
	         NULL},
	        {"", "JSON"},
	        {"[]", "version 1"},
	        {"{}", "version 1"},
	        {"{\"version\":2,\"namespaces\":{}}", "version 1"},
	        {"{\"version\":\"1\",\"namespaces\":{}}", "version 1"},
	        {"{\"version\":1}", "namespaces"},
	        {"{\"version\":1,\"namespaces\":[]}", "expected an object"},
	        {"{\"version\":1,\"namespaces\":{\"a\":{}}}", "state"},
	        {"{\"version\":1,\"namespaces\":{\"a\":null}}", "state"},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"ajar\"}}}", "state"},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"open\",\"since\":1}}}",
	         "times"},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"open\",\"until\":\"soon\"}}}",
	         "times"},
	        {"{\"version\":1,\"namespaces\":{\"A\":{\"state\":\"open\"}}}", "a namespace"},
	        {"{\"version\":1,\"namespaces\":{\"a/b\":{\"state\":\"open\"}}}", "a namespace"},
	        {"{\"version\":1,\"namespaces\":{\"\":{\"state\":\"open\"}}}", "a namespace"},
	        {"{\"version\":1,\"namespaces\":{\"a\":{\"state\":\"open\"},"
	         "\"a\":{\"state\":\"open\"}}}",
	         "a"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct breaker_state _cleanup_breaker_state_ read = {0};
		struct error error = {""};
		bool good =
		        breaker_state_parse(cases[i].text, strlen(cases[i].text), &read, &error);
		if (good != (cases[i].says == NULL))
			fail_msg("%s: %s", cases[i].text, good ? "was read" : error.message);
		if (!good && strstr(error.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].text, error.message);
	}
}

static void test_config_maps(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		size_t count;
	} cases[] = {
	        {"{\"metadata\":{\"resourceVersion\":\"7\"}}", true, 0},
	        {"{\"metadata\":{\"resourceVersion\":\"7\"},\"data\":{\"state.json\":\"\"}}", true,
	         0},
	        {"{\"metadata\":{\"resourceVersion\":\"7\"},\"data\":{\"state.json\":"
	         "\"{\\\"version\\\":1,\\\"namespaces\\\":{\\\"a\\\":{\\\"state\\\":\\\"open\\\"}}"
	         "}\"}}",
	         true, 1},
	        {"{\"metadata\":{},\"data\":{}}", false, 0},
	        {"{\"metadata\":{\"resourceVersion\":\"7\"},\"data\":{\"state.json\":\"huh\"}}",
	         false, 0},
	        {"huh", false, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct breaker_state _cleanup_breaker_state_ read = {0};
		char version[BREAKER_VERSION_SIZE] = "";
		struct error error;
		assert_int_equal(breaker_config_map_parse(cases[i].text, strlen(cases[i].text),
		                                          &read, version, &error),
		                 cases[i].good);
		assert_int_equal(read.count, cases[i].count);
		assert_string_equal(version, cases[i].good ? "7" : "");
	}
}

static void test_the_patch_names_the_version(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ written = {0};
	struct breaker_state _cleanup_breaker_state_ read = {0};
	char version[BREAKER_VERSION_SIZE];
	struct buffer _cleanup_buffer_ text;
	struct error error;
	buffer_init(&text, 1 << 20);
	add(&written, "agents", BREAKER_OPEN, NOW);
	breaker_config_map_patch(&written, "4711", &text);
	assert_true(buffer_ok(&text));
	/* It has the form of the object itself. */
	assert_true(
	        breaker_config_map_parse(buffer_text(&text), text.length, &read, version, &error));
	assert_string_equal(version, "4711");
	assert_int_equal(read.count, 1);
}

static void test_full(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ full = {0};
	char name[BREAKER_NAMESPACE_SIZE];
	for (int i = 0; i < BREAKER_ENTRIES_MAX; i++) {
		snprintf(name, sizeof name, "n%d", i);
		add(&full, name, i == 7 || i == 9 ? BREAKER_CLOSED : BREAKER_OPEN, NOW - i);
	}
	/* The oldest closed one gives way, then the other, then there is no room. */
	breaker_state_find(&full, "n9")->since -= SECOND;
	add(&full, "more-1", BREAKER_OPEN, NOW);
	assert_null(breaker_state_find(&full, "n9"));
	assert_non_null(breaker_state_find(&full, "n7"));
	add(&full, "more-2", BREAKER_OPEN, NOW);
	assert_null(breaker_state_find(&full, "n7"));
	assert_null(breaker_state_add(&full, "more-3"));
	assert_non_null(breaker_state_add(&full, "n1"));
	assert_int_equal(full.count, BREAKER_ENTRIES_MAX);
	for (size_t i = 1; i < full.count; i++)
		assert_true(strcmp(full.entries[i - 1].namespace, full.entries[i].namespace) < 0);
}

/* However long its texts are, a full state fits a ConfigMap. */
static void test_the_largest_state_fits(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ full = {0};
	struct buffer _cleanup_buffer_ text;
	char name[BREAKER_NAMESPACE_SIZE];
	char quotes[600];
	memset(quotes, '"', sizeof quotes - 1);
	quotes[sizeof quotes - 1] = '\0';
	char dns[254];
	memset(dns, 'a', sizeof dns - 1);
	dns[sizeof dns - 1] = '\0';
	for (int i = 0; i < BREAKER_ENTRIES_MAX; i++) {
		snprintf(name, sizeof name, "%050d-%d", 0, i);
		breaker_entry_open(breaker_state_add(&full, name), NOW, NOW,
		                   &(struct breaker_cause){"hook-hangs", quotes, dns});
	}
	buffer_init(&text, 4 << 20);
	breaker_config_map_patch(&full, "1", &text);
	assert_true(buffer_ok(&text));
}

static void test_texts_are_cut_at_a_character(void **state)
{
	(void)state;
	struct breaker_state _cleanup_breaker_state_ written = {0};
	struct breaker_state _cleanup_breaker_state_ read = {0};
	char text[400] = "x";
	for (size_t i = 1; i + 2 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa4", 3);
	struct breaker_entry *entry = breaker_state_add(&written, "a");
	breaker_entry_open(entry, NOW, 0, &(struct breaker_cause){"image", text, NULL});
	assert_int_equal(strlen(entry->message), 255);
	text[254] = '\0';
	breaker_entry_open(entry, NOW, 0, &(struct breaker_cause){"image", text, NULL});
	assert_string_equal(entry->message + 253, "?"); /* half a character */
	write_and_read(&written, &read);
	assert_string_equal(read.entries[0].message, entry->message);
	assert_int_equal(read.entries[0].until, 0);
	breaker_entry_open(entry, NOW, 0,
	                   &(struct breaker_cause){"image", "a\x1b[2J\xff\n\xe2\x80\xae.", NULL});
	assert_string_equal(entry->message, "a?[2J???.");
}

/* ---- Which pods are let through ---- */

static struct breaker_table *table_of(enum breaker_position position, int64_t since)
{
	struct breaker_table *table = breaker_table_new();
	struct breaker_state state = {0};
	assert_non_null(table);
	add(&state, "agents", position, since);
	breaker_table_set(table, &state, 5);
	assert_null(state.entries);
	return table;
}

static void set(struct breaker_table *table, enum breaker_position position, int64_t since,
                const char *trial)
{
	struct breaker_state state = {0};
	add(&state, "agents", position, since);
	add(&state, "aaa", BREAKER_OPEN, since); /* so that the entry has another place */
	breaker_entry_set_trial(breaker_state_find(&state, "agents"), trial);
	breaker_table_set(table, &state, 6);
}

static enum breaker_decision decide(struct breaker_table *table, const char *namespace,
                                    bool dry_run)
{
	int64_t trial = 0;
	enum breaker_decision decision = breaker_table_decide(table, namespace, dry_run, &trial);
	assert_true((decision == BREAKER_TRIAL) == (trial == NOW - NOW % 1000));
	return decision;
}

static void test_closed_and_open(void **state)
{
	(void)state;
	struct breaker_table *table = breaker_table_new();
	assert_int_equal(breaker_table_read_at(table), 0);
	assert_int_equal(decide(table, "agents", false), BREAKER_WRAP);
	set(table, BREAKER_OPEN, NOW, "");
	assert_int_equal(breaker_table_read_at(table), 6);
	for (int i = 0; i < 3; i++)
		assert_int_equal(decide(table, "agents", i == 1), BREAKER_SKIP);
	assert_int_equal(decide(table, "others", false), BREAKER_WRAP);
	assert_int_equal(decide(table, "", false), BREAKER_WRAP);
	set(table, BREAKER_CLOSED, NOW, "");
	assert_int_equal(decide(table, "agents", false), BREAKER_WRAP);
	breaker_table_free(table);
}

static void test_half_open_lets_one_through(void **state)
{
	(void)state;
	struct breaker_table *table = table_of(BREAKER_HALF_OPEN, NOW);
	assert_int_equal(decide(table, "agents", true), BREAKER_SKIP);
	assert_int_equal(decide(table, "agents", false), BREAKER_TRIAL);
	assert_int_equal(decide(table, "agents", false), BREAKER_SKIP);
	/* The same state, read again. */
	set(table, BREAKER_HALF_OPEN, NOW, "");
	assert_int_equal(decide(table, "agents", false), BREAKER_SKIP);
	/* Another trial. */
	set(table, BREAKER_HALF_OPEN, NOW - 60 * SECOND, "");
	int64_t trial = 0;
	assert_int_equal(breaker_table_decide(table, "agents", false, &trial), BREAKER_TRIAL);
	assert_int_equal(trial, NOW - 60 * SECOND - (NOW - 60 * SECOND) % 1000);
	breaker_table_free(table);
}

/* A replica that was not running before: the trial was seen already. */
static void test_no_second_trial(void **state)
{
	(void)state;
	struct breaker_table *table = breaker_table_new();
	set(table, BREAKER_HALF_OPEN, NOW, "trial-1");
	assert_int_equal(decide(table, "agents", false), BREAKER_SKIP);
	breaker_table_free(table);
	breaker_table_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_is_written_is_read),
	        cmocka_unit_test(test_the_documented_form),
	        cmocka_unit_test(test_documents),
	        cmocka_unit_test(test_config_maps),
	        cmocka_unit_test(test_the_patch_names_the_version),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_the_largest_state_fits),
	        cmocka_unit_test(test_texts_are_cut_at_a_character),
	        cmocka_unit_test(test_closed_and_open),
	        cmocka_unit_test(test_half_open_lets_one_through),
	        cmocka_unit_test(test_no_second_trial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
