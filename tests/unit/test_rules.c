/* Rules: their form, rules of one's own, and that matching them is linear (counted). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/http_status.h"
#include "lib/diagnosis/snippet.h"

static void test_form(void **state)
{
	(void)state;
	static const char *const good[] = {
	        "any 80 - line \"no plan for\"",
	        "start 95! rate-limit from \"quota of team *:#\"",
	        "line max15 - next \"\\\\\\\"\\#\\*\"",
	        "word frame - after \"frame of ours\"",
	};
	static const char *const bad[] = {
	        "",
	        "any 80 - line",
	        "any 80 - line no plan",
	        "somewhere 80 - line \"no plan\"",
	        "any 100 - line \"no plan\"",
	        "any -1 - line \"no plan\"",
	        "any x - line \"no plan\"",
	        "any max - line \"no plan\"",
	        "any 80 no-such-detail line \"no plan\"",
	        "any 80 - all \"no plan\"",
	        "any 80 - line \"no",
	        "any 80 - line \"abc\"",
	        "any 80 - line \"ab*cd\"",
	        "any 80 - line \"abcd*\"",
	        "any 80 - line \"no plan\" + \"x\"",
	        "any 80 - line \"no\tplan\"",
	};
	struct error error;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!own_rules_check(good[i], &error))
			fail_msg("%s: %s", good[i], error.message);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (own_rules_check(bad[i], &error) || error.message[0] == '\0')
			fail_msg("accepted: %s", bad[i]);
	char text[RULE_LINE_MAX + 40] = "any 80 - line \"";
	memset(text + strlen(text), 'a', RULE_PATTERN_MAX + 1);
	assert_false(own_rules_check(text, &error));
}

static void test_own_rules(void **state)
{
	(void)state;
	static struct own_rules own;
	struct snippet snippet;
	const char *log = "loading\nTeam quota of red: 12 is used up\nerror: exit 1\nbye\n";
	struct error error;
	snippet_pick(NULL, log, strlen(log), &snippet);
	assert_string_equal(snippet.statement, "error: exit 1");
	assert_true(own_rules_add(&own, "start 90 quota from \"team quota of *: #\"", &error));
	snippet_pick(&own, log, strlen(log), &snippet);
	assert_string_equal(snippet.statement, "Team quota of red: 12 is used up");
	assert_string_equal(rules_builtin.details[snippet.detail].name, "quota");
	assert_int_equal(snippet.rule, rules_builtin.rule_count);
	while (own.count < OWN_RULES_MAX)
		assert_true(own_rules_add(&own, "any 50 - line \"no plan\"", &error));
	assert_false(own_rules_add(&own, "any 50 - line \"no plan\"", &error));
}

/* A line full of what matches a rule's beginning, again and again, costs no more per byte. */
static void test_work_is_linear(void **state)
{
	(void)state;
	static char bytes[4096];
	static char folded[sizeof bytes];
	uint64_t most = 0;
	for (size_t i = 0; i < rules_builtin.rule_count; i++) {
		const struct diagnosis_rule *rule = &rules_builtin.rules[i];
		for (unsigned length = RULE_ANCHOR; length <= rule->length; length++) {
			struct rule_findings found;
			struct rule_text text = {bytes, folded, sizeof bytes, 0};
			uint64_t work = 0;
			for (size_t at = 0; at < sizeof bytes; at++) {
				char c = rules_builtin.patterns[rule->text + at % length];
				bytes[at] = c == RULE_DIGITS ? '1' : c == RULE_GAP ? ' ' : c;
				folded[at] = ascii_to_lower(bytes[at]);
			}
			rules_find(&rules_builtin, NULL, &text, &found, &work);
			most = work > most ? work : most;
		}
	}
	if (most > 64 * sizeof bytes)
		fail_msg("%llu bytes of work", (unsigned long long)most);
}

/* Every detail has a name of its own and a cause; every rule is found by its anchor. */
static void test_tables(void **state)
{
	(void)state;
	assert_true(rules_builtin.rule_count > 400);
	for (size_t i = 1; i < rules_builtin.detail_count; i++)
		for (size_t j = 1; j < i; j++)
			assert_string_not_equal(rules_builtin.details[i].name,
			                        rules_builtin.details[j].name);
	size_t listed = 0;
	for (size_t bucket = 0; bucket < RULE_BUCKETS; bucket++) {
		size_t length = 0;
		for (unsigned next = rules_builtin.buckets[bucket]; next != 0;
		     next = rules_builtin.rules[next - 1].next)
			length++;
		assert_true(length <= 8);
		listed += length;
	}
	assert_int_equal(listed, rules_builtin.rule_count);
}

/* A line, and the status in it; 0: no number in it is one. */
static void test_http_status(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		unsigned status;
	} rows[] = {
	        {"request failed with status code 401", 401},
	        {"unexpected status: 503", 503},
	        {"http/1.1 502", 502},
	        {"http 429 too many requests", 429},
	        {"urllib.error.httperror: http error 403: forbidden", 403},
	        {"apierror: status_code=529, body", 529},
	        {"{\"statuscode\":500}", 500},
	        {"{\"code\": 404, \"message\": \"x\"}", 404},
	        {"apiexception: (409)", 409},
	        {"upload failed (504)", 504},
	        {"googleapi: error 403: x", 403},
	        {"the requested url returned error: 500", 500},
	        {"response status code does not indicate success: 401 (unauthorized).", 401},
	        {"status [503]", 503},
	        {"", 0},
	        {"500", 0},
	        {"status code 200", 0},
	        {"status code 5000", 0},
	        {"status code 50", 0},
	        {"error: 500 rows were not read", 0},
	        {"returned 404 ms later", 0},
	        {"error 500.5", 0},
	        {"port 443, line 503", 0},
	        {"where 500 = <response [500]>.status_code", 0},
	        {"assert response.status_code == 500", 0},
	        {"failed (500 of 502)", 0},
	        {"1.1 503", 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t at = 0;
		unsigned status = http_status_find(rows[i].line, strlen(rows[i].line), &at);
		if (status != rows[i].status || (status != 0 && at == 0))
			fail_msg("%s: %u", rows[i].line, status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_form),           cmocka_unit_test(test_own_rules),
	        cmocka_unit_test(test_work_is_linear), cmocka_unit_test(test_tables),
	        cmocka_unit_test(test_http_status),
	};
	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
