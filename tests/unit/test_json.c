/* The JSON tree and YAML on top of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "tests/unit/json_equal.h"
#include "lib/document/yaml.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new((size_t)64 * 1024 * 1024);
	return arena == NULL;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static enum json_fidelity parse(const char *text, unsigned flags, json **root)
{
	struct error error = {""};
	enum json_fidelity fidelity = json_parse(arena, text, strlen(text), flags, root, &error);
	assert_true((fidelity == JSON_FAITHFUL) == (error.message[0] == '\0'));
	return fidelity;
}

static json *parsed(const char *text)
{
	json *root = NULL;
	assert_int_equal(parse(text, JSON_KEEP_NUMBERS, &root), JSON_FAITHFUL);
	return root;
}

static void assert_prints(const json *node, const char *expected)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	json_print(&out, node, 0);
	assert_true(buffer_ok(&out));
	assert_string_equal(buffer_text(&out), expected);
	buffer_free(&out);
}

static void test_getters(void **state)
{
	(void)state;
	json *root = parsed("{\"a\":{\"B\":[1,\"x\",true,null,1.5]},\"n\":9007199254740993}");
	assert_true(json_is_object(root));
	assert_null(json_find(root, "a", "b", NULL)); /* case counts */
	json *list = json_find(root, "a", "B", NULL);
	assert_int_equal(json_size(list), 5);
	assert_string_equal(json_string(json_at(list, 1)), "x");
	assert_null(json_at(list, 5));
	assert_null(json_at(root, 0));
	assert_true(json_is_true(json_at(list, 2)));
	assert_true(json_is_null(json_at(list, 3)));
	assert_false(json_is_null(json_at(list, 9)));
	assert_string_equal(json_type_name(json_at(list, 4)), "number");
	assert_string_equal(json_type_name(NULL), "nothing");
	int64_t value = 0;
	assert_true(json_integer(json_at(list, 0), &value));
	assert_false(json_integer(json_at(list, 4), &value));
	assert_false(json_integer(json_at(list, 1), &value));
	assert_string_equal(json_number_text(json_get(root, "n")), "9007199254740993");
	assert_string_equal(json_get_string_or(root, "zz", "other"), "other");
}

static void test_numbers_keep_their_text(void **state)
{
	(void)state;
	const char *text = "{\"a\":[1e3,-0.50,9007199254740993,\"1\\\"2\",{\"4\":5E+2}],\"b\":0}";
	assert_prints(parsed(text), text);
	json *root = NULL;
	assert_int_equal(parse("[1e3,12345,0.1]", 0, &root), JSON_FAITHFUL);
	assert_prints(root, "[1000,12345,0.10000000000000001]");
}

static void test_invalid(void **state)
{
	(void)state;
	static const char *const bad[] = {"",           " ",          "{",     "[1,",
	                                  "{\"a\"}",    "{\"a\":1}x", "nul",   "'a'",
	                                  "{\"a\":1,}", "\"abc",      "[1 2]", "{1:2}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json *root = NULL;
		if (parse(bad[i], 0, &root) != JSON_INVALID)
			fail_msg("%s was taken", bad[i]);
		assert_null(root);
	}
	json *root = NULL;
	struct error error;
	assert_int_equal(json_parse(arena, "1\0", 2, 0, &root, &error), JSON_INVALID);
	for (char c = 0x01; c < 0x20; c++) { /* RFC 8259 section 7 */
		char text[] = {'[', '\\', '"', c, '"', ']', '\0'};
		text[1] = ' ';
		assert_int_equal(parse(text, 0, &root), JSON_INVALID);
		char key[] = {'{', '"', '\\', '"', c, '"', ':', '1', '}', '\0'};
		assert_int_equal(parse(key, 0, &root), JSON_INVALID);
		char outside[] = {'[', c, '"', '\\', '"', '\x7f', '"', c, ']', '\0'};
		bool space = strchr("\t\n\r", c) != NULL;
		assert_int_equal(parse(outside, 0, &root), space ? JSON_FAITHFUL : JSON_INVALID);
	}
	char deep[20001];
	memset(deep, '[', 10000);
	memset(deep + 10000, ']', 10000);
	deep[20000] = '\0';
	assert_int_equal(parse(deep, 0, &root), JSON_INVALID);
}

/* What cJSON's own parser would take. */
static void test_strictness(void **state)
{
	(void)state;
	static const char *const bad[] = {"01",
	                                  "-",
	                                  "-01",
	                                  "1.",
	                                  ".5",
	                                  "1e",
	                                  "1e+",
	                                  "+1",
	                                  "0x10",
	                                  "1.e3",
	                                  "--1",
	                                  "NaN",
	                                  "Infinity",
	                                  "-Infinity",
	                                  "tru",
	                                  "truE",
	                                  "nulll",
	                                  "[1,]",
	                                  "[,1]",
	                                  "{,}",
	                                  "{\"a\":}",
	                                  "{\"a\" 1}",
	                                  "[1}",
	                                  "{\"a\":1]",
	                                  "]",
	                                  "\"\\x\"",
	                                  "\"\\u12\"",
	                                  "\"\\u12g4\"",
	                                  "\"\\ud800\"",
	                                  "\"\\udc00\"",
	                                  "\"\\ud800\\u0041\"",
	                                  "\"\\ud800x\"",
	                                  "\"\\ud83d\\ud83d\"",
	                                  "[\"a\" \"b\"]",
	                                  "\f1",
	                                  "1\v",
	                                  "\xef\xbb\xbf",
	                                  "\xef\xbb",
	                                  "\x80",
	                                  "[1]\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json *root = NULL;
		if (parse(bad[i], 0, &root) != JSON_INVALID)
			fail_msg("%s was taken", bad[i]);
	}
	assert_prints(parsed(" \t\r\n[ 0 , -0.0e-0 , 10E+2 ]\n"), "[0,-0.0e-0,10E+2]");
	assert_prints(parsed("\xef\xbb\xbf{}"), "{}");
}

/* A document cut anywhere is none, and nothing is read behind its end. */
static void test_every_cut(void **state)
{
	(void)state;
	static const char text[] = "{\"a\\u00e9\\ud83d\\ude00\":[1,-2.5e+3,true,false,null,"
	                           "\"x\\n\xc3\xa9 long enough for a word\"],\"b\":{\"\":[]}}";
	for (size_t cut = 0; cut < sizeof text - 1; cut++) {
		char *copy = malloc(cut + 1);
		json *root = NULL;
		struct error error = {""};
		assert_non_null(copy);
		memcpy(copy, text, cut);
		copy = realloc(copy, cut == 0 ? 1 : cut);
		assert_int_equal(json_parse(arena, copy, cut, 0, &root, &error), JSON_INVALID);
		assert_string_not_equal(error.message, "");
		free(copy);
	}
	assert_non_null(parsed(text));
}

/* Whatever needs a second look, at each place in and behind a machine word. */
static void test_special_bytes_anywhere(void **state)
{
	static const struct {
		const char *written, *read;
	} cases[] = {{"", ""},
	             {"\\\"", "\""},
	             {"\\\\", "\\"},
	             {"\xc3\xa9", "\xc3\xa9"},
	             {"\\u20ac", "\xe2\x82\xac"},
	             {"\x7f", "\x7f"},
	             {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (int before = 0; before < 20; before++) {
			for (int behind = 0; behind < 20; behind++) {
				char text[128];
				char expected[128];
				snprintf(text, sizeof text, "[\"%.*s%s%.*s\"]", before,
				         "!aaaaaaaaaaaaaaaaaa~", cases[i].written, behind,
				         "bbbbbbbbbbbbbbbbbbb#");
				snprintf(expected, sizeof expected, "%.*s%s%.*s", before,
				         "!aaaaaaaaaaaaaaaaaa~", cases[i].read, behind,
				         "bbbbbbbbbbbbbbbbbbb#");
				assert_string_equal(json_string(json_at(parsed(text), 0)),
				                    expected);
			}
		}
		arena_reset(arena);
	}
}

static void test_depth(void **state)
{
	(void)state;
	static char text[2 * JSON_DEPTH_MAX + 3];
	for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		json *root = NULL;
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\0';
		assert_int_equal(parse(text, 0, &root),
		                 depth == JSON_DEPTH_MAX ? JSON_FAITHFUL : JSON_INVALID);
	}
}

static void test_flawed(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *what;
	} cases[] = {
	        {"{\"uid\":\"u\",\"a\":1,\"a\":2}", "given twice"},
	        {"{\"x\":{\"b\":[{\"a\":1,\"a\":1}]}}", "given twice"},
	        {"{\"a\":\"x\\u0000y\"}", "NUL"},
	        {"{\"a\\u0000\":1}", "NUL"},
	        {"{\"a\":\"\xFF\"}", "UTF-8"},
	        {"{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,"
	         "\"k\":0,\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"n\":1}",
	         "\"n\" is given twice"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json *root = NULL;
		struct error error = {""};
		assert_int_equal(
		        json_parse(arena, cases[i].text, strlen(cases[i].text), 0, &root, &error),
		        JSON_FLAWED);
		assert_non_null(root);
		if (strstr(error.message, cases[i].what) == NULL)
			fail_msg("%s: %s", cases[i].text, error.message);
	}
	parsed("{\"a\":\"\\\\u0000\",\"b\":\"\\\\\\\\u0000\"}"); /* backslashes, no NUL */
}

static void test_ceiling(void **state)
{
	(void)state;
	struct arena *small = arena_new(128 * 1024);
	size_t length = 400000;
	char *text = malloc(length + 1);
	assert_non_null(text);
	for (size_t i = 0; i < length; i += 2)
		memcpy(text + i, i == 0 ? "[1" : ",1", 2);
	text[length - 1] = ']';
	text[length - 2] = '1';
	json *root = NULL;
	struct error error = {""};
	assert_int_equal(json_parse(small, text, length, 0, &root, &error), JSON_INVALID);
	arena_reset(small);
	assert_int_equal(json_parse(small, "[1]", 3, 0, &root, &error), JSON_FAITHFUL);
	free(text);
	arena_free(small);
}

static void test_equal(void **state)
{
	(void)state;
	assert_true(json_equal(parsed("{\"a\":1,\"b\":[1,{\"c\":null}]}"),
	                       parsed("{\"b\":[1,{\"c\":null}],\"a\":1}")));
	static const char *const different[][2] = {{"[1,2]", "[2,1]"},
	                                           {"{\"a\":1}", "{\"a\":2}"},
	                                           {"{\"a\":1}", "{\"b\":1}"},
	                                           {"[1]", "[1,1]"},
	                                           {"1", "1.0"},
	                                           {"\"1\"", "1"},
	                                           {"{}", "[]"},
	                                           {"true", "false"},
	                                           {"[[1],[2]]", "[[1],[3]]"}};
	for (size_t i = 0; i < sizeof different / sizeof different[0]; i++)
		if (json_equal(parsed(different[i][0]), parsed(different[i][1])))
			fail_msg("%s and %s", different[i][0], different[i][1]);
	assert_true(json_equal(NULL, NULL));
	assert_false(json_equal(parsed("1"), NULL));
}

static void test_changing(void **state)
{
	(void)state;
	json *root = parsed("{\"a\":[1,3],\"b\":2}");
	json *list = json_get(root, "a");
	assert_true(json_insert(list, 1, json_new_integer(arena, 2)));
	assert_true(json_insert(list, 3, json_new_string(arena, "end")));
	assert_true(json_insert(list, 0, json_new_null(arena)));
	assert_true(json_set_member(arena, root, "b", json_new_bool(arena, false)));
	assert_true(json_set_member(arena, root, "c", json_new_object(arena)));
	assert_false(json_append(list, NULL));
	assert_false(json_set_member(arena, root, "c", NULL));
	assert_prints(root, "{\"a\":[null,1,2,3,\"end\"],\"b\":false,\"c\":{}}");
	json_remove(list, json_at(list, 0));
	assert_true(json_replace(list, json_at(list, 3), json_new_integer(arena, 4)));
	json *copy = json_duplicate(arena, root);
	json_remove(root, json_get(root, "b"));
	assert_prints(root, "{\"a\":[1,2,3,4],\"c\":{}}");
	assert_prints(copy, "{\"a\":[1,2,3,4],\"b\":false,\"c\":{}}");
}

/* Objects of any length whose keys have tags in common, and one key given twice at any two places.
 */
static void test_keys_with_the_same_tag(void **state)
{
	(void)state;
	enum { LENGTH = 8 };
	char keys[80][LENGTH + 1];
	size_t count = 0;
	unsigned tag = json_tag("kaabbccz", LENGTH);
	for (unsigned i = 0; i < 100000 && count < sizeof keys / sizeof keys[0]; i++) {
		snprintf(keys[count], sizeof keys[count], "k%c%c%c%c%c%cz", 'a' + i % 26,
		         'a' + i / 26 % 26, 'a' + i / 676 % 26, 'b', 'a' + i / 17576 % 26, 'x');
		count += json_tag(keys[count], LENGTH) == tag;
	}
	assert_int_equal(count, sizeof keys / sizeof keys[0]);
	static const size_t sizes[] = {2, 3, 63, 64, 65, 80};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		for (size_t again = 0; again <= sizes[s]; again++) {
			struct buffer text;
			json *root = NULL;
			buffer_init(&text, 100000);
			for (size_t i = 0; i < sizes[s]; i++)
				buffer_printf(&text, "%c\"%s\":%zu", i == 0 ? '{' : ',', keys[i],
				              i);
			if (again < sizes[s]) /* equal but for an escape */
				buffer_printf(&text, ",\"\\u006b%s\":0", keys[again] + 1);
			buffer_append_char(&text, '}');
			assert_int_equal(parse(buffer_text(&text), 0, &root),
			                 again < sizes[s] ? JSON_FLAWED : JSON_FAITHFUL);
			for (size_t i = 0; i < sizes[s] && again == sizes[s]; i++) {
				int64_t value;
				assert_true(json_integer(json_get(root, keys[i]), &value));
				assert_int_equal(value, i);
			}
			buffer_free(&text);
			arena_reset(arena);
		}
	}
}

/* A shared copy has its own children; what is below them is the original's. */
static void test_sharing(void **state)
{
	(void)state;
	json *original = parsed("{\"a\":[1,{\"b\":2}],\"c\":\"text\"}");
	json *copy = json_share(arena, original);
	assert_prints(copy, "{\"a\":[1,{\"b\":2}],\"c\":\"text\"}");
	assert_false(json_is_shared(copy));
	assert_true(json_is_shared(json_get(copy, "a")));
	assert_false(json_is_shared(json_get(original, "a")));
	assert_true(json_add_member(arena, copy, "d", json_new_null(arena)));
	assert_true(json_set_member(arena, copy, "a", json_new_bool(arena, true)));
	json_remove(copy, json_get(copy, "c"));
	assert_prints(copy, "{\"a\":true,\"d\":null}");
	assert_prints(original, "{\"a\":[1,{\"b\":2}],\"c\":\"text\"}");
	/* A copy of what is shared is nobody else's. */
	json *whole = json_duplicate(arena, json_get(json_share(arena, original), "a"));
	assert_false(json_is_shared(whole));
	assert_prints(json_share(arena, json_new_string(arena, "leaf")), "\"leaf\"");
}

static void test_integers_are_printed(void **state)
{
	(void)state;
	static const int64_t values[] = {0,  1,   -1,        9,         10,        -10,
	                                 99, 100, INT32_MAX, INT64_MAX, INT64_MIN, 1000000};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		char expected[32];
		snprintf(expected, sizeof expected, "%" PRId64, values[i]);
		assert_prints(json_new_integer(arena, values[i]), expected);
	}
}

/* ---- YAML ---- */

static void assert_yaml(const char *text, const char *expected)
{
	struct yaml_document *documents;
	size_t count;
	struct error error = {""};
	if (!yaml_parse(arena, text, strlen(text), YAML_STRICT, &documents, &count, &error))
		fail_msg("%s: %s", text, error.message);
	assert_int_equal(count, 1);
	assert_prints(documents->root, expected);
}

static void test_yaml_values(void **state)
{
	(void)state;
	assert_yaml("a: 1\nb: [x, 'y', \"z\"]\nc: {d: ~}",
	            "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],\"c\":{\"d\":null}}");
	assert_yaml("[yes, No, on, OFF, true, False, y, n]",
	            "[true,false,true,false,true,false,true,false]");
	assert_yaml("['yes', \"no\", yesno, nullable, Null, ~, '']",
	            "[\"yes\",\"no\",\"yesno\",\"nullable\",null,null,\"\"]");
	assert_yaml("[0755, 0x1F, 0b11, 0o17, -12, +12, 1_000, 0]", "[493,31,3,15,-12,12,1000,0]");
	assert_yaml("[1.50, .5, 5., 1e3, -1.5E-3, +2.5, 08, 1.2.3, 1e, 0x]",
	            "[1.50,0.5,5.0,1e3,-1.5E-3,2.5,8,\"1.2.3\",\"1e\",\"0x\"]");
	assert_yaml("[9223372036854775807, 9223372036854775808]",
	            "[9223372036854775807,9223372036854775808]");
	assert_yaml("[!!str 123, ! yes, 2026-11-23, 500m, 1Gi]",
	            "[\"123\",\"yes\",\"2026-11-23\",\"500m\",\"1Gi\"]");
	assert_yaml("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
	assert_yaml("base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\nd: *b",
	            "{\"base\":{\"x\":1,\"y\":2},\"c\":{\"y\":3,\"x\":1},\"d\":{\"x\":1,\"y\":2}}");
	assert_yaml("c:\n  <<: [{x: 1}, {x: 2, z: 3}]", "{\"c\":{\"x\":1,\"z\":3}}");
	assert_yaml("# only a comment\n--- # here\n", "null");
}

static void assert_as_kubectl(const char *text, const char *expected, const char *warning)
{
	struct yaml_document *documents;
	size_t count;
	struct error error = {""};
	if (!yaml_parse(arena, text, strlen(text), YAML_AS_KUBECTL, &documents, &count, &error))
		fail_msg("%s: %s", text, error.message);
	assert_int_equal(count, 1);
	assert_prints(documents->root, expected);
	assert_int_equal(documents->warnings != NULL, warning != NULL);
	if (warning != NULL)
		assert_non_null(strstr(documents->warnings->text, warning));
}

/* What kubectl prints for the same, by sigs.k8s.io/yaml. */
static void test_yaml_as_kubectl(void **state)
{
	(void)state;
	assert_as_kubectl("on: 1\n1e3: 2\n0x10: 3\n1.5: 4\n1e30: 5\n-0.0: 6",
	                  "{\"true\":1,\"1000\":2,\"16\":3,\"1.5\":4,\"1e+30\":5,\"-0\":6}", NULL);
	assert_as_kubectl("a: 1\nb: 0\na: 2", "{\"a\":2,\"b\":0}", "last one counts: a");
	assert_as_kubectl("x: &x {a: 1, b: 2}\nz: {a: 0, <<: *x, b: 9}",
	                  "{\"x\":{\"a\":1,\"b\":2},\"z\":{\"a\":1,\"b\":9}}", NULL);
	assert_as_kubectl("{<<: {a: 1}, <<: {a: 7, c: 1}, '<<': 3}", "{\"a\":7,\"c\":1,\"<<\":3}",
	                  "last one counts: <<");
	assert_as_kubectl("k: {<<: {a: 1}}\nl: {<<: {a: 2}}", "{\"k\":{\"a\":1},\"l\":{\"a\":2}}",
	                  NULL);
	assert_as_kubectl(
	        "[0xFFFFFFFFFFFFFFFF, 0x10000000000000000, 1e400, ._5, !x 12, !!int '0x1F']",
	        "[18446744073709551615,\"0x10000000000000000\",\"1e400\",\"._5\",\"12\",31]", NULL);
	assert_as_kubectl("[!!timestamp 2001-01-01, !!binary aGVsbG8=, !!set {a, b}]",
	                  "[\"2001-01-01\",\"hello\",{\"a\":null,\"b\":null}]", NULL);
	assert_as_kubectl("&k key: 1\nb: *k\n*k : 2", "{\"key\":2,\"b\":\"key\"}", "key");
	assert_as_kubectl("\xEF\xBB\xBF"
	                  "a: |\n  x",
	                  "{\"a\":\"x\"}", NULL);
	static const char *const refused[] = {"~: 1",
	                                      "? [a]\n: 1",
	                                      "a: .inf",
	                                      "[!!int x]",
	                                      "!!binary /w==",
	                                      "<<: 1",
	                                      "9223372036854775808: 1",
	                                      "[!!bool 1]",
	                                      "[!!timestamp x]"};
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct yaml_document *documents;
		size_t count;
		struct error error = {""};
		assert_false(yaml_parse(arena, refused[i], strlen(refused[i]), YAML_AS_KUBECTL,
		                        &documents, &count, &error));
		assert_memory_equal(error.message, "line 1, column ", 15);
	}
}

static void assert_refused(const char *text, const char *expected)
{
	struct yaml_document *documents;
	size_t count;
	struct error error = {""};
	if (yaml_parse(arena, text, strlen(text), YAML_STRICT, &documents, &count, &error))
		fail_msg("%s was taken", text);
	if (strstr(error.message, expected) == NULL)
		fail_msg("%s: \"%s\" is not in \"%s\"", text, expected, error.message);
}

static void test_yaml_refused(void **state)
{
	(void)state;
	assert_refused("a: 1\nb: 2\na: 3\n", "line 3, column 1: key given twice: a");
	assert_refused("a: [1, 2\nb: 3\n", "line 2");
	assert_refused("a: 1\n  b: 2\n", "line 2, column 4");
	assert_refused("a: *nobody\n", "line 1, column 4: unknown alias nobody");
	assert_refused("? [a, b]\n: 1\n", "expected a key that is a scalar");
	assert_refused("a: !custom x\n", "line 1, column 4: unknown tag !custom");
	assert_refused("a: \"x\\0y\"\n", "NUL");
	assert_refused("a: \xFF\n", "line 1, column 4: byte 3: not UTF-8");
	assert_refused("a:\n\t- b\n", "line 2");
	assert_refused("a: &x [1, *x]", "unknown alias");

	char deep[1001];
	memset(deep, '[', 500);
	memset(deep + 500, ']', 500);
	deep[1000] = '\0';
	assert_refused(deep, "nested too deeply");

	struct buffer laughs;
	buffer_init(&laughs, 1 << 16);
	buffer_append_text(&laughs, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++) {
		buffer_printf(&laughs, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			buffer_printf(&laughs, "%s*a%d", j == 0 ? "" : ", ", i - 1);
		buffer_append_text(&laughs, "]\n");
	}
	assert_refused(buffer_text(&laughs), "too many nodes");
	buffer_free(&laughs);
}

static void test_yaml_documents(void **state)
{
	(void)state;
	const char *text = "a: \xC3\xA9\n---\n# c\nb: 2\n---\n";
	struct yaml_document *documents;
	size_t count;
	struct error error = {""};
	assert_true(yaml_parse(arena, text, strlen(text), YAML_STRICT, &documents, &count, &error));
	assert_int_equal(count, 3);
	assert_memory_equal(text + documents[0].start, "a: \xC3\xA9", 5);
	assert_memory_equal(text + documents[1].start, "---\n# c\nb: 2\n", 13);
	assert_int_equal(documents[1].end, documents[2].start);
	unsigned line;
	unsigned column;
	yaml_position(&documents[1], json_get(documents[1].root, "b"), false, &line, &column);
	assert_int_equal(line, 4);
	assert_int_equal(column, 4);
	yaml_position(&documents[1], json_get(documents[1].root, "b"), true, &line, &column);
	assert_int_equal(line, 4);
	assert_int_equal(column, 1);
	struct yaml_document *one;
	assert_false(yaml_parse_one(arena, text, strlen(text), &one, &error));
}

static void assert_round_trip(json *tree)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	yaml_print(&out, tree);
	assert_true(buffer_ok(&out));
	struct yaml_document *document;
	struct error error = {""};
	if (!yaml_parse_one(arena, buffer_text(&out), out.length, &document, &error))
		fail_msg("%s\n%s", buffer_text(&out), error.message);
	if (!json_equal(tree, document->root))
		fail_msg("came back different:\n%s", buffer_text(&out));
	buffer_free(&out);
}

static void test_yaml_printing(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 4096);
	yaml_print(&out,
	           parsed("{\"a\":{\"b\":[1,{\"c\":\"x\",\"d\":[]},[2,3]]},\"e\":\"yes\",\"f\":"
	                  "\"two\\nlines\\n\",\"g\":\"\",\"h\":{}}"));
	assert_string_equal(buffer_text(&out), "a:\n"
	                                       "  b:\n"
	                                       "  - 1\n"
	                                       "  - c: x\n"
	                                       "    d: []\n"
	                                       "  - - 2\n"
	                                       "    - 3\n"
	                                       "e: \"yes\"\n"
	                                       "f: |\n"
	                                       "  two\n"
	                                       "  lines\n"
	                                       "g: \"\"\n"
	                                       "h: {}\n");
	buffer_free(&out);
}

static void test_yaml_round_trips(void **state)
{
	(void)state;
	static const char *const strings[] = {"",
	                                      "yes",
	                                      "No",
	                                      "null",
	                                      "~",
	                                      "1",
	                                      "1.5",
	                                      "0x1F",
	                                      "1e3",
	                                      ".5",
	                                      "-",
	                                      "- a",
	                                      "a: b",
	                                      "a:",
	                                      ":a",
	                                      "a #b",
	                                      "#a",
	                                      " a",
	                                      "a ",
	                                      "\ta",
	                                      "a\tb",
	                                      "a\nb",
	                                      "a\nb\n",
	                                      "a\n\n",
	                                      "\na",
	                                      " a\nb",
	                                      "a \nb",
	                                      "\n",
	                                      "'a'",
	                                      "\"a\"",
	                                      "{a}",
	                                      "[a]",
	                                      "*a",
	                                      "&a",
	                                      "!a",
	                                      "|a",
	                                      ">a",
	                                      "%a",
	                                      "@a",
	                                      "`a`",
	                                      "?a",
	                                      "? a",
	                                      "a,b",
	                                      "---",
	                                      "...",
	                                      "2026-11-23",
	                                      "12:30:45",
	                                      "=",
	                                      "<<",
	                                      "~a",
	                                      "\xC3\xA9",
	                                      "\xF0\x9F\x98\x80",
	                                      "\xE2\x80\xA8",
	                                      "\xC2\x85",
	                                      "\x01",
	                                      "\x7F",
	                                      "\r\n",
	                                      "a\r",
	                                      "\xEF\xBB\xBF",
	                                      "\\",
	                                      "a\\nb",
	                                      "$(A)",
	                                      "C:\\x",
	                                      "http://x/y?z=1#f",
	                                      "0o17",
	                                      "1_000",
	                                      "+1",
	                                      "a\n b\n  c",
	                                      "line\n# not a comment\n",
	                                      "a\n---\nb",
	                                      "a\n\tb",
	                                      "x: |\n  y"};
	json *list = json_new_array(arena);
	json *map = json_new_object(arena);
	for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
		assert_true(json_append(list, json_new_string(arena, strings[i])));
		assert_true(json_add_member(arena, map, strings[i],
		                            json_new_string(arena, strings[i])));
		assert_round_trip(json_new_string(arena, strings[i]));
	}
	json_remove(map, json_get(map, "<<"));
	json *nested = json_new_object(arena);
	json *inner = json_new_array(arena);
	assert_true(json_append(inner, list));
	assert_true(json_append(inner, json_new_array(arena)));
	assert_true(json_append(inner, map));
	assert_true(json_add_member(arena, nested, "k", inner));
	assert_round_trip(nested);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_getters),
	        cmocka_unit_test(test_numbers_keep_their_text),
	        cmocka_unit_test(test_invalid),
	        cmocka_unit_test(test_strictness),
	        cmocka_unit_test(test_every_cut),
	        cmocka_unit_test(test_special_bytes_anywhere),
	        cmocka_unit_test(test_depth),
	        cmocka_unit_test(test_flawed),
	        cmocka_unit_test(test_ceiling),
	        cmocka_unit_test(test_equal),
	        cmocka_unit_test(test_changing),
	        cmocka_unit_test(test_keys_with_the_same_tag),
	        cmocka_unit_test(test_sharing),
	        cmocka_unit_test(test_integers_are_printed),
	        cmocka_unit_test(test_yaml_values),
	        cmocka_unit_test(test_yaml_as_kubectl),
	        cmocka_unit_test(test_yaml_refused),
	        cmocka_unit_test(test_yaml_documents),
	        cmocka_unit_test(test_yaml_printing),
	        cmocka_unit_test(test_yaml_round_trips),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
