/* Redaction: the table in tests/data/redact.txt, cut beginnings, patterns, and counted work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/diagnosis/redact.h"

/* What is shown and how much work is counted is the same in both builds. The sanitized one takes
 * five times as long and looks for errors of memory: it takes a part. */
#ifdef __SANITIZE_ADDRESS__
#define LONE_SIZE ((size_t)1 << 16)
#define PAIR_SIZE ((size_t)1 << 12)
#define CUT_STEP  7
#else
#define LONE_SIZE ((size_t)1 << 20)
#define PAIR_SIZE ((size_t)1 << 14)
#define CUT_STEP  1
#endif

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
	assert_string_equal(redacted(NULL, true, "Zk3hhG and more"), "");
	assert_string_equal(redacted(NULL, true, ""), "");
	assert_string_equal(redacted(NULL, true, "Zk3hhG"), "");
}

/* --- Every cut of every form --- */

/* The text of an example of secrets.rules, and where in it the secret is. */
struct sample {
	char text[8192];
	size_t from;
	size_t end;
};

/* Takes ~ and the marks of the secret out of an example. */
static void read_sample(const char *example, struct sample *sample)
{
	size_t used = 0;
	sample->from = sample->end = 0;
	for (const char *c = example; *c != '\0' && strncmp(c, "\" -", 3) != 0; c++) {
		if (*c == '~')
			continue;
		if (strncmp(c, "<<", 2) == 0)
			sample->from = used;
		else if (strncmp(c, ">>", 2) == 0)
			sample->end = used;
		if (strncmp(c, "<<", 2) == 0 || strncmp(c, ">>", 2) == 0) {
			c++;
			continue;
		}
		c += *c == '\\' && (c[1] == '~' || c[1] == '"');
		sample->text[used++] = *c;
	}
	sample->text[used] = '\0';
}

/* Eight bytes in a row of the secret (all of a shorter rest) are in what is left. */
static bool shows(const struct sample *sample, const char *left)
{
	size_t step = sample->end - sample->from < 8 ? sample->end - sample->from : 8;
	for (size_t i = sample->from; i + step <= sample->end; i++) {
		char part[9] = "";
		memcpy(part, sample->text + i, step);
		if (strstr(left, part) != NULL)
			return true;
	}
	return false;
}

/* Cuts at every place up to the secret's end, with what may follow: lines, or one long line. */
static void walk_cuts(const struct sample *sample)
{
	static char whole[24 * 1024];
	static const size_t rests[] = {0, 700, 17000};
	for (size_t kind = 0; kind < 6; kind++) {
		size_t length = strlen(sample->text);
		memcpy(whole, sample->text, length);
		if (kind < 3)
			whole[length++] = '\n';
		for (size_t i = 0; i < rests[kind % 3]; i++)
			whole[length++] = i % 6 == 0 ? ' ' : 'w';
		whole[length] = '\0';
		for (size_t cut = 1; cut < sample->end; cut += kind % 3 == 2 ? 29 : CUT_STEP)
			if (shows(sample, redacted(NULL, true, whole + cut)))
				fail_msg("cut at %zu, kind %zu: %.200s shows %.200s", cut, kind,
				         sample->text, text);
	}
}

static void test_every_cut(void **state)
{
	(void)state;
	static struct sample sample;
	char line[2048];
	size_t samples = 0;
	FILE *file = fopen("lib/diagnosis/rules/secrets.rules", "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL) {
		const char *example = strstr(line, " + \"");
		if (line[0] == '#' || example == NULL || strstr(line, "<<") == NULL)
			continue;
		read_sample(example + 4, &sample);
		walk_cuts(&sample);
		samples++;
	}
	fclose(file);
	assert_true(samples >= 200);
	static const char *const more[] = {
	        "connecting to postgres://app:<<hunter2hunter2>>@db:5432/x",
	        "https://<<abcdefghij0123456789>>@h/x",
	        "export DB_PASSWORD=\"<<correct horse battery staple>>\" # x",
	        "<password><<hunter2hunter2>></password>",
	        "[{\"name\": \"DB_PASSWORD\", \"value\": \"<<hunter2hunter2>>\"}]",
	        "agent --db-password '<<correct horse battery>>' run",
	};
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		read_sample(more[i], &sample);
		walk_cuts(&sample);
	}
}

/* A private key on one line as in a service account's JSON, and on lines of its own. */
static void test_every_cut_of_a_key(void **state)
{
	(void)state;
	static const char *const ends[] = {"\\n", "\n", "\\\\n", "\r\n"};
	static struct sample sample;
	static const char letters[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t kind = 0; kind < 4; kind++) {
		unsigned seed = 1;
		size_t used = (size_t)snprintf(
		        sample.text, sizeof sample.text,
		        "{\"type\": \"x\", \"private_key\": \"-----BEGIN RSA PRIVATE KEY-----%s",
		        ends[kind]);
		sample.from = used;
		for (size_t line = 0; line < 26; line++) {
			for (size_t i = 0; i < (line < 25 ? 64 : 22); i++) {
				seed = seed * 1103515245 + 12345;
				sample.text[used++] = letters[seed >> 16 & 63];
			}
			used += (size_t)snprintf(sample.text + used, 8, "%s", ends[kind]);
		}
		sample.end = used - strlen(ends[kind]);
		snprintf(sample.text + used, sizeof sample.text - used,
		         "-----END RSA PRIVATE KEY-----%s\", \"client_email\": \"x\"}", ends[kind]);
		walk_cuts(&sample);
		/* Cut at both ends. */
		for (size_t cut = 1; cut < sample.end; cut += 7) {
			static char part[8192];
			size_t length = sample.end - cut < 1500 ? sample.end - cut : 1500;
			memcpy(part, sample.text + cut, length);
			part[length] = '\0';
			if (shows(&sample, redacted(NULL, true, part)))
				fail_msg("cut at %zu and %zu, kind %zu: %s", cut, cut + length,
				         kind, text);
		}
	}
}

/* The end of the text is before the @ of a URL, or amid a token. */
static void test_cut_ends(void **state)
{
	(void)state;
	assert_string_equal(redacted(NULL, false, "x postgres://app:hunter2hunt"),
	                    "x postgres://app:[redacted]");
	assert_string_equal(redacted(NULL, false, "x redis://:12345"), "x redis://:***");
	assert_string_equal(redacted(NULL, false, "x http://host:8080"), "x http://host:8080");
	assert_string_equal(redacted(NULL, false, "x http://[::1]:8080"), "x http://[::1]:8080");
}

/* What looks like a placeholder at its beginning, and is none. */
static void test_no_placeholders(void **state)
{
	(void)state;
	static const char *const secrets[] = {"**hunter2hunter2", "***",      "$X$hunter2hunter2",
	                                      "<hunter2hunter2",  "$hunter2", "%shunter2hunter2",
	                                      "*hunter2*"};
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		char line[128];
		snprintf(line, sizeof line, "password=%s x", secrets[i]);
		bool stays = strcmp(secrets[i], "***") == 0;
		assert_true((strstr(redacted(NULL, false, line), secrets[i]) != NULL) == stays);
		snprintf(line, sizeof line, "http://u:%s@h/", secrets[i]);
		assert_true((strstr(redacted(NULL, false, line), secrets[i]) != NULL) == stays);
	}
}

/* A token that a terminal, or a mail, has broken over two lines. */
static void test_broken_lines(void **state)
{
	(void)state;
	assert_string_equal(redacted(NULL, false,
	                             "x gh"
	                             "p_abcdefghij\nklmnopqrst0123456789 y"),
	                    "x [redacted:github-token] y");
	assert_string_equal(redacted(NULL, false,
	                             "gh"
	                             "p_abcdefghij\nis no token"),
	                    "gh"
	                    "p_abcdefghij\nis no token");
	/* Behind the least length, and a value up to its quote. */
	assert_string_equal(redacted(NULL, false,
	                             "x gh"
	                             "p_abcdefghijklmnopqrst0123\nQ7dh3yEg42ipqnX1 y"),
	                    "x [redacted:github-token] y");
	assert_string_equal(redacted(NULL, false,
	                             "x gh"
	                             "p_abcdefghijklmnopqrst0123\nstarting"),
	                    "x [redacted:github-token]\nstarting");
	assert_string_equal(redacted(NULL, false, "{\"token\":\"Q7dh3yEg42\nipqnX1\", \"a\":1}"),
	                    "{\"token\":\"[redacted]\", \"a\":1}");
	assert_string_equal(redacted(NULL, false, "token=\"Q7dh3yEg42\nthe end"),
	                    "token=\"[redacted]\nthe end");
}

static void assert_stable(const char *input)
{
	static char once[8192];
	snprintf(once, sizeof once, "%s", redacted(NULL, false, input));
	assert_string_equal(redacted(NULL, false, once), once);
}

/* What was redacted stays as it is. */
static void test_redacting_twice(void **state)
{
	(void)state;
	static const char *const files[] = {"lib/diagnosis/rules/secrets.rules",
	                                    "tests/data/redact.txt"};
	for (size_t i = 0; i < 2; i++) {
		char line[4096];
		FILE *file = fopen(files[i], "r");
		assert_non_null(file);
		while (fgets(line, sizeof line, file) != NULL) {
			struct sample *sample = calloc(1, sizeof *sample);
			assert_non_null(sample);
			read_sample(line, sample);
			assert_stable(sample->text);
			free(sample);
		}
		fclose(file);
	}
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
        "mysql -p",
        "mysql -pa",
        "curl -u a:",
        "curl -u ",
        "docker login ",
        "docker login -p",
        "mc alias set a ",
        "vault login ",
        "sqlplus a/",
        "jdbc:oracle:thin:",
        "jdbc:oracle:thin:a/",
        "<password>",
        "<token>a",
        "password ",
        "token is ",
        "token is Ab1",
        "a:1:a:a:",
        "a.b:1:a:a:\n",
        "0123456789:AA",
        "0123456789abcdef",
        "AKIAAAAAAAAAAAAAAAAA ",
        "s.",
        "s.a",
        "key=",
        "x_key=Ab1Ab1Ab1Ab1Ab1Ab1",
        "gh"
        "p_abcdefgh\n",
        "PWD=/",
        "${",
        "password=${",
        "password=<",
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
	/* Four passes at most. */
	if (report.work > 4 * (64 + 80 * (uint64_t)patterns->count) * size)
		fail_msg("%s: %llu", both, (unsigned long long)report.work);
}

static void test_work_is_linear(void **state)
{
	(void)state;
	static struct redact_patterns patterns;
	memset(&patterns, 0, sizeof patterns);
	for (size_t one = 0; one < UNITS; one++)
		for (size_t other = 0; other < UNITS; other++)
			assert_linear(&patterns, one, other, PAIR_SIZE);
	assert_true(redact_patterns_add(&patterns, "a[a-z]+[^x]+b", NULL));
	assert_true(redact_patterns_add(&patterns, "[a-z:=\\-]+[0-9]{3}!", NULL));
	for (size_t unit = 0; unit < UNITS; unit++)
		assert_linear(&patterns, unit, unit, LONE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table),
	        cmocka_unit_test(test_key_blocks),
	        cmocka_unit_test(test_cut_start),
	        cmocka_unit_test(test_every_cut),
	        cmocka_unit_test(test_every_cut_of_a_key),
	        cmocka_unit_test(test_cut_ends),
	        cmocka_unit_test(test_no_placeholders),
	        cmocka_unit_test(test_broken_lines),
	        cmocka_unit_test(test_redacting_twice),
	        cmocka_unit_test(test_patterns),
	        cmocka_unit_test(test_names_and_values),
	        cmocka_unit_test(test_work_is_linear),
	};
	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
