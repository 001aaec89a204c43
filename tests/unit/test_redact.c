/* Redaction: the table in tests/data/redact.txt, cut beginnings, patterns, and counted work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/diagnosis/redact.h"

static char text[(1 << 20) + 1];

/* Redacts a copy of input in exactly as much memory, so that a read past the end is seen. */
static const char *redacted(const struct redact_patterns *patterns, bool cut, const char *input)
{
	size_t length = strlen(input);
	char *copy = malloc(length > 0 ? length : 1);
	assert_non_null(copy);
	memcpy(copy, input, length);
	size_t left = redact(patterns, cut, copy, length, NULL);
	assert_true(left <= length);
	memcpy(text, copy, left);
	text[left] = '\0';
	free(copy);
	return text;
}

/* "secret<TAB>what is left" a line; "same<TAB>": nothing may change. */
static void test_table(void **state)
{
	(void)state;
	FILE *file = fopen("tests/data/redact.txt", "r");
	assert_non_null(file);
	char line[2048];
	size_t rows = 0;
	while (fgets(line, sizeof line, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		char *tab = strchr(line, '\t');
		if (tab == NULL || line[0] == '#')
			continue;
		*tab = '\0';
		bool same = strcmp(line, "same") == 0;
		/* A tilde keeps these examples from looking like real tokens to a scanner. */
		char input[2048];
		size_t used = 0;
		for (const char *c = same ? tab + 1 : line; *c != '\0'; c++)
			if (*c != '~')
				input[used++] = *c;
		input[used] = '\0';
		assert_string_equal(redacted(NULL, false, input), same ? input : tab + 1);
		rows++;
	}
	fclose(file);
	assert_true(rows >= 120);
}

static void test_key_blocks(void **state)
{
	(void)state;
	const char *line = "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF0c5Yt0BqXr4wPqGqGmLl0aGfJ2x\n";
	char block[1024];
	snprintf(
	        block, sizeof block,
	        "before\n-----BEGIN RSA PRIVATE KEY-----\n%s%s-----END RSA PRIVATE KEY-----\nafter",
	        line, line);
	assert_string_equal(redacted(NULL, false, block), "before\n[redacted:private-key]\nafter");
	snprintf(block, sizeof block, "x\n-----BEGIN PRIVATE KEY-----\n%s", line);
	assert_string_equal(redacted(NULL, false, block), "x\n[redacted:private-key]");
	snprintf(block, sizeof block, "3xfn/ygW\n%s%sabc=\n-----END PRIVATE KEY-----\nafter", line,
	         line);
	assert_null(strstr(redacted(NULL, true, block), "MIIE"));
	assert_null(strstr(redacted(NULL, true, block), "abc="));
	assert_non_null(strstr(redacted(NULL, true, block), "after"));
	const char *public_key = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
	assert_string_equal(redacted(NULL, false, public_key), public_key);
}

/* Two lines of a container's environment, as a manifest writes it. */
static void test_names_and_values(void **state)
{
	(void)state;
	assert_string_equal(redacted(NULL, false,
	                             "- name: DB_PASSWORD\n  value: hunter2hunter2\n"
	                             "- name: MODEL\n  value: small-model\n"),
	                    "- name: DB_PASSWORD\n  value: [redacted]\n"
	                    "- name: MODEL\n  value: small-model\n");
}

static void test_cut_start(void **state)
{
	(void)state;
	assert_string_equal(redacted(NULL, true, "Zk3hhG\nnext line"), "next line");
	assert_string_equal(redacted(NULL, true, "ret horse battery\" ok\nnext"), "next");
	assert_string_equal(redacted(NULL, true, "Zk3hhG and more"), " and more");
	assert_string_equal(redacted(NULL, true, ""), "");
	assert_string_equal(redacted(NULL, true, "Zk3hhG"), "");
}

static void test_patterns(void **state)
{
	(void)state;
	static struct redact_patterns patterns;
	assert_true(redact_patterns_add(&patterns, "mycorp_[A-Za-z0-9]{8}", NULL));
	assert_true(redact_patterns_add(&patterns, "id\\.[^ ]+;", NULL));
	assert_true(redact_patterns_add(&patterns, "[0-9]{16}", NULL));
	assert_string_equal(redacted(&patterns, false, "a mycorp_abcdefgh123456 b"),
	                    "a [redacted:pattern] b");
	assert_string_equal(redacted(&patterns, false, "a mycorp_abc b"), "a mycorp_abc b");
	assert_string_equal(redacted(&patterns, false, "card 4111111111111111."),
	                    "card [redacted].");
	static const char *const bad[] = {"abc",      "ab*cd",  "[abc",       "[]abcd",
	                                  "[z-a]abc", "abcd\\", "[a]{0}abcd", "[a]{5000}",
	                                  "abcd[x]{", ""};
	struct error error;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		error.message[0] = '\0';
		if (redact_pattern_check(bad[i], &error) || error.message[0] == '\0')
			fail_msg("accepted: %s", bad[i]);
	}
	while (patterns.count < REDACT_PATTERNS_MAX)
		assert_true(redact_patterns_add(&patterns, "abcd", NULL));
	assert_false(redact_patterns_add(&patterns, "abcd", &error));
}

/* What each scan could stumble over again and again. */
static const char *const units[] = {
        "password=$",
        "password=",
        "token:",
        "token:\"",
        "token:'token:\"",
        "://",
        "://a:b",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN ",
        "ghp_",
        "eyJ",
        "eyJ.",
        "Bearer ",
        "Bearer a",
        "=",
        ":",
        "a=",
        " =",
        "\\",
        "\\\"",
        "password: [",
        "\"password\":\"\\\"",
        "\033[",
        "%",
        "aaaa",
        "a",
        "AKIA",
        "sk-",
        "authorization: ",
        "cookie=$A",
        "password=none",
        "secret=1 ",
        "-",
        "--",
        "--token ",
        "--token 'a ",
        "--token 'a --token \"a ",
        "--password not set ",
        "%3D",
        "token%3D",
        "password%3Da",
        "password:[",
        "password: not set ",
        "not set ",
        "api_key: Some(",
        "name=password value=",
        "name=",
        "\\\\\\\"token\\\\\\\":",
};
#define UNITS (sizeof units / sizeof *units)

/* Redacts size bytes of one and other in turn, again and again. */
static void assert_linear(const struct redact_patterns *patterns, size_t one, size_t other,
                          size_t size)
{
	char both[128];
	size_t length = (size_t)snprintf(both, sizeof both, "%s%s", units[one],
	                                 one == other ? "" : units[other]);
	for (size_t i = 0; i < size; i++)
		text[i] = both[i % length];
	struct redact_report report;
	assert_true(redact(patterns, other % 2 == 1, text, size, &report) <= size);
	if (report.work > (64 + 80 * (uint64_t)patterns->count) * size)
		fail_msg("%s: %llu", both, (unsigned long long)report.work);
}

static void test_work_is_linear(void **state)
{
	(void)state;
	static struct redact_patterns patterns;
	memset(&patterns, 0, sizeof patterns);
	for (size_t one = 0; one < UNITS; one++)
		for (size_t other = 0; other < UNITS; other++)
			assert_linear(&patterns, one, other, (size_t)1 << 14);
	assert_true(redact_patterns_add(&patterns, "a[a-z]+[^x]+b", NULL));
	assert_true(redact_patterns_add(&patterns, "[a-z:=\\-]+[0-9]{3}!", NULL));
	for (size_t unit = 0; unit < UNITS; unit++)
		assert_linear(&patterns, unit, unit, sizeof text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table),
	        cmocka_unit_test(test_key_blocks),
	        cmocka_unit_test(test_cut_start),
	        cmocka_unit_test(test_patterns),
	        cmocka_unit_test(test_names_and_values),
	        cmocka_unit_test(test_work_is_linear),
	};
	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
