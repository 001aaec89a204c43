/* json_scanner, json_filter and json_stream: every case is fed whole, byte by byte and cut in two
 * at every place, and must give the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/document/json.h"
#include "lib/document/json_stream.h"

#define STORAGE ((size_t)64 * 1024)

/* ---- One run ---- */

struct run {
	struct buffer pieces; /* each with a line end; '*' before one that was cut, '=' before an
	                         outermost object of a filter with `each` */
	size_t stop_after;    /* pieces; 0: never */
	size_t count;
	bool each;
};

static bool take(void *context, const struct json_piece *piece)
{
	struct run *run = context;
	assert_int_equal(strlen(piece->text), piece->length);
	if (piece->cut)
		buffer_append_char(&run->pieces, '*');
	if (run->each && !piece->element)
		buffer_append_char(&run->pieces, '=');
	buffer_append(&run->pieces, piece->text, piece->length);
	buffer_append_char(&run->pieces, '\n');
	return ++run->count != run->stop_after;
}

static bool has_each(const struct json_filter *members)
{
	for (; members->key != NULL; members++)
		if (members->each)
			return true;
	return false;
}

/* What comes of the text in pieces of `first`, then `step` bytes; malloc'ed. Ends with "half" or
 * "failed" where that is so. */
static char *result_of(const struct json_filter *filter, size_t extra_max, const char *text,
                       size_t length, size_t first, size_t step)
{
	struct json_stream stream;
	struct error error;
	static char storage[STORAGE];
	struct run run = {.each = has_each(filter)};
	buffer_init(&run.pieces, (size_t)1 << 20);
	assert_true(json_stream_init(&stream, filter, extra_max, storage, sizeof storage, &error));
	size_t at = 0;
	bool more = true;
	for (size_t next = first; more && at < length; next = step) {
		size_t piece = next < length - at ? next : length - at;
		more = json_stream_feed(&stream, text + at, piece, take, &run, &error);
		at += piece;
	}
	if (json_stream_failed(&stream)) {
		assert_false(more);
		buffer_append_text(&run.pieces, "failed");
	} else if (!json_stream_is_between(&stream)) {
		buffer_append_text(&run.pieces, "half");
	}
	char *result = strdup(buffer_text(&run.pieces));
	buffer_free(&run.pieces);
	return result;
}

static void check(const struct json_filter *filter, size_t extra_max, const char *text,
                  size_t length, const char *expected)
{
	for (size_t first = 0; first <= length; first++) {
		/* first 0: byte by byte */
		char *result = result_of(filter, extra_max, text, length, first == 0 ? 1 : first,
		                         first == 0 ? 1 : length);
		if (strcmp(result, expected) != 0)
			print_error("text: %s\ncut at %zu\n", text, first);
		assert_string_equal(result, expected);
		free(result);
	}
}

static void check_text(const struct json_filter *filter, const char *text, const char *expected)
{
	check(filter, 64, text, strlen(text), expected);
}

/* ---- Grammar ---- */

static const struct json_filter a_only[] = {{.key = "a", .elements_max = 3}, {.key = NULL}};

/* The value stands in a member that is kept, and in one that is skipped; both must agree. */
static void check_value(const char *value, bool valid)
{
	char text[2200];
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof text, "{\"%c\":%s}", i == 0 ? 'a' : 'b', value);
		char *result = result_of(a_only, 64, text, strlen(text), 1, 1);
		bool complete = result[strlen(result) - 1] == '\n';
		if (complete != valid)
			print_error("%s is %staken\n", text, complete ? "" : "not ");
		assert_int_equal(complete, valid);
		free(result);
	}
}

static void test_values_as_rfc_8259_has_them(void **state)
{
	static const char *const valid[] = {
	        "0",
	        "-0",
	        "10",
	        "-1.5",
	        "1e5",
	        "1E+05",
	        "1.25e-7",
	        "true",
	        "false",
	        "null",
	        "\"\"",
	        "\"a\"",
	        "\"\\u00e9\"",
	        "\"\\/\"",
	        "\"\\\\\"",
	        "\"\\uD834\\uDD1E\"",
	        "[]",
	        "[1,2]",
	        "[ ]",
	        "{}",
	        "{ }",
	        "{\"b\":{}}",
	        "[[],[]]",
	        " 1 ",
	        "\t[\n1\r,2]",
	        "\"\x7f\"",
	        "\"\xff\xc3\"",
	        "\"\\uDC00\"",
	        "[{\"x\":[{}]}]",
	};
	static const char *const invalid[] = {
	        "",
	        "01",
	        "-",
	        "+1",
	        ".5",
	        "1.",
	        "1e",
	        "1e+",
	        "1.e5",
	        "0x1",
	        "- 1",
	        "1 2",
	        "tru",
	        "truex",
	        "True",
	        "nul",
	        "nullnull",
	        "'a'",
	        "\"a",
	        "\"\n\"",
	        "\"\x01\"",
	        "\"\t\"",
	        "\"\\x\"",
	        "\"\\u12\"",
	        "\"\\u12g4\"",
	        "\"\\\"",
	        "[",
	        "[1",
	        "[1,]",
	        "[,1]",
	        "[1 2]",
	        "[1}",
	        "{",
	        "{,}",
	        "{\"a\"}",
	        "{\"a\":}",
	        "{\"a\":1,}",
	        "{\"a\":1]",
	        "{a:1}",
	        "{1:2}",
	        "{\"a\" 1}",
	        "{\"a\":1 \"b\":2}",
	        "]",
	        "}",
	        "1]",
	        "/**/1",
	        "NaN",
	        "\f1",
	        "\xEF\xBB\xBF"
	        "1",
	        "[1]]",
	        "\"\\u\"",
	        "-a",
	        "1..2",
	        "1e5.5",
	        "00",
	        "-01",
	};
	(void)state;
	for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
		check_value(valid[i], true);
	for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
		check_value(invalid[i], false);
}

static void test_what_stands_between_objects(void **state)
{
	(void)state;
	check_text(a_only, "", "");
	check_text(a_only, " \r\n\t ", "");
	check_text(a_only, "{}", "{}\n");
	check_text(a_only, "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2}\n");
	check_text(a_only, "{\"a\":1}{\"a\":2}", "{\"a\":1}\n{\"a\":2}\n");
	check_text(a_only, "{\"a\":1", "half");
	check_text(a_only, "{\"a\":\"1\\", "half");
	check_text(a_only, "{\"a\":1}\n{", "{\"a\":1}\nhalf");
	check_text(a_only, "[]", "failed");
	check_text(a_only, "1", "failed");
	check_text(a_only, "{\"a\":1},", "{\"a\":1}\nfailed");
	check(a_only, 64, "{\"a\":1}\0", 8, "{\"a\":1}\nfailed");
	check(a_only, 64, "{\"a\":\"x\0y\"}", 11, "failed");
}

static void test_nesting_has_an_end(void **state)
{
	char text[2 * JSON_SCANNER_DEPTH_MAX + 16];
	(void)state;
	for (int over = 0; over < 2; over++) {
		size_t levels = JSON_SCANNER_DEPTH_MAX - 1 + (size_t)over;
		struct buffer out;
		buffer_init_fixed(&out, text, sizeof text);
		buffer_append_text(&out, "{\"b\":");
		for (size_t i = 0; i < levels; i++)
			buffer_append_char(&out, '[');
		for (size_t i = 0; i < levels; i++)
			buffer_append_char(&out, ']');
		buffer_append_char(&out, '}');
		assert_true(buffer_ok(&out));
		char *result = result_of(a_only, 64, text, out.length, 7, 100);
		assert_string_equal(result, over ? "failed" : "{}\n");
		free(result);
	}
}

/* ---- What is kept ---- */

static const struct json_filter leaf[] = {{.key = "x"}, {.key = NULL}};
static const struct json_filter container[] = {
        {.key = "name"},
        {.key = "command", .only_in = "dog", .elements_max = 4, .extra = true},
        {.key = "ports", .members = leaf, .elements_max = 2},
        {.key = NULL},
};
static const struct json_filter notes[] = {{.key = "k/*", .extra = true}, {.key = NULL}};
static const struct json_filter everything[] = {
        {.key = "a", .text_max = 5, .elements_max = 3},
        {.key = "o", .members = leaf},
        {.key = "containers", .members = container, .elements_max = 3},
        {.key = "notes", .members = notes},
        {.key = "deep", .members = container},
        {.key = NULL},
};

static const struct {
	const char *text;
	const char *kept;
} cases[] = {
        {"{\"z\":[1,{\"a\":2}],\"a\":3,\"y\":\"a\"}", "{\"a\":3}\n"},
        {" { \"a\" : [ 1 , \"b\" , true ] , \"o\" : { \"w\" : 1 , \"x\" : null } } ",
         "{\"a\":[1,\"b\",true],\"o\":{\"x\":null}}\n"},
        {"{\"a\":\"12345\"}", "{\"a\":\"12345\"}\n"},
        {"{\"a\":\"123456\"}", "*{\"a\":null}\n"},
        {"{\"a\":\"\\u003c\"}", "*{\"a\":null}\n"},
        {"{\"a\":[\"123456\",1]}", "*{\"a\":[null,1]}\n"},
        {"{\"a\":1234567890123456789012345678901234567890}",
         "{\"a\":1234567890123456789012345678901234567890}\n"},
        {"{\"a\":12345678901234567890123456789012345678901}", "*{\"a\":null}\n"},
        {"{\"a\":[1,2,3,4,5]}", "*{\"a\":[1,2,3]}\n"},
        /* given twice: the first */
        {"{\"a\":1,\"a\":2,\"o\":{\"x\":1},\"o\":{\"x\":2,\"x\":3}}",
         "{\"a\":1,\"o\":{\"x\":1}}\n"},
        {"{\"\\u0061\":1,\"a\":2}", "{\"a\":1}\n"},
        /* another shape */
        {"{\"a\":{\"x\":1}}", "{\"a\":null}\n"},
        {"{\"a\":[[1],{},2]}", "{\"a\":[null,null,2]}\n"},
        {"{\"o\":1}", "{\"o\":null}\n"},
        {"{\"o\":[{\"x\":1}]}", "{\"o\":null}\n"},
        {"{\"containers\":{\"name\":\"n\"}}", "{\"containers\":{\"name\":\"n\"}}\n"},
        {"{\"containers\":[1,{\"name\":{}},[]]}", "{\"containers\":[null,{\"name\":null},null]}\n"},
        /* keys are what they mean, but for case */
        {"{\"\\u006F\":{\"\\u0078\":1},\"A\":1,\"\\u00e9\":1,\"a\\u0000\":1}",
         "{\"o\":{\"x\":1}}\n"},
        /* arrays of objects, and a member that only one of them has */
        {"{\"containers\":[{\"name\":\"n\",\"command\":[\"1\"]},{\"name\":\"dog\",\"command\":["
         "\"1\","
         "\"2\"],\"image\":\"i\"},{\"command\":[\"1\"],\"name\":\"dog\"}]}",
         "{\"containers\":[{\"name\":\"n\"},{\"name\":\"dog\",\"command\":[\"1\",\"2\"]},{\"name\":"
         "\"dog\"}]}\n"},
        {"{\"containers\":[{\"name\":\"dogs\",\"command\":[\"1\"]},{\"name\":\"do\",\"command\":[]}"
         "]}",
         "{\"containers\":[{\"name\":\"dogs\"},{\"name\":\"do\"}]}\n"},
        {"{\"deep\":{\"name\":\"dog\",\"ports\":[{\"x\":1},{\"y\":1},{\"x\":3}]}}",
         "*{\"deep\":{\"name\":\"dog\",\"ports\":[{\"x\":1},{}]}}\n"},
        /* all keys that begin so */
        {"{\"notes\":{\"k/1\":\"v\",\"k\":1,\"k/\":2,\"kk/3\":3,\"k\\/4\":4}}",
         "{\"notes\":{\"k/1\":\"v\",\"k/\":2}}\n"},
        /* text that no C string holds, and halves of pairs */
        {"{\"o\":{\"x\":\"a\\u0000b\"}}", "{\"o\":{\"x\":\"a\\ufffdb\"}}\n"},
        {"{\"o\":{\"x\":\"\\uD834\\uDD1E\"}}", "{\"o\":{\"x\":\"\\uD834\\uDD1E\"}}\n"},
        {"{\"o\":{\"x\":\"\\uD834\"}}", "{\"o\":{\"x\":\"\\ufffd\"}}\n"},
        {"{\"o\":{\"x\":\"\\uD834x\\uDD1E\"}}", "{\"o\":{\"x\":\"\\ufffdx\\ufffd\"}}\n"},
        {"{\"o\":{\"x\":\"\\uD834\\n\\uDD1E\"}}", "{\"o\":{\"x\":\"\\ufffd\\n\\ufffd\"}}\n"},
        {"{\"o\":{\"x\":\"\\uD834\\uD834\\uDD1E\\uDD1E\"}}",
         "{\"o\":{\"x\":\"\\ufffd\\uD834\\uDD1E\\ufffd\"}}\n"},
        {"{\"o\":{\"x\":\"\xff\xc3\x28 \xe2\x82\xac\"}}",
         "{\"o\":{\"x\":\"\xff\xc3\x28 \xe2\x82\xac\"}}\n"},
        /* the budget of what is extra: 64 bytes, of which a member takes its key and 13 */
        {"{\"notes\":{\"k/1\":\"1234567890123456789012345678901234567890\",\"k/2\":1}}",
         "*{\"notes\":{\"k/1\":\"1234567890123456789012345678901234567890\"}}\n"},
        {"{\"notes\":{\"k/1\":\"12345678901234567890123456789012345678901234567890123\",\"k/"
         "2\":1}}",
         "*{\"notes\":{\"k/1\":null,\"k/2\":1}}\n"},
        {"{\"notes\":{\"k/1\":1,\"k/2\":2,\"k/3\":3,\"k/4\":4,\"k/5\":5}}",
         "*{\"notes\":{\"k/1\":1,\"k/2\":2,\"k/3\":3,\"k/4\":4}}\n"},
        /* and the next object has one of its own */
        {"{\"notes\":{\"k/1\":1,\"k/2\":2,\"k/3\":3,\"k/4\":4,\"k/5\":5}}{\"notes\":{\"k/6\":6}}",
         "*{\"notes\":{\"k/1\":1,\"k/2\":2,\"k/3\":3,\"k/4\":4}}\n{\"notes\":{\"k/6\":6}}\n"},
};

static void test_what_is_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		check_text(everything, cases[i].text, cases[i].kept);
}

static const struct json_filter item[] = {
        {.key = "name"}, {.key = "note", .extra = true, .text_max = 200}, {.key = NULL}};
static const struct json_filter list[] = {
        {.key = "version"}, {.key = "items", .members = item, .each = true}, {.key = NULL}};

static void test_elements_one_by_one(void **state)
{
	(void)state;
	check_text(list,
	           "{\"version\":\"1\",\"items\":[{\"name\":\"a\",\"x\":[]},{\"name\":\"b\"}]}",
	           "{\"name\":\"a\"}\n{\"name\":\"b\"}\n={\"version\":\"1\"}\n");
	check_text(list, "{\"items\":[{\"name\":\"a\"}],\"version\":\"1\"}",
	           "{\"name\":\"a\"}\n={\"version\":\"1\"}\n");
	check_text(list, "{\"items\":[],\"items\":[{\"name\":\"a\"}]}", "={}\n");
	check_text(list, "{\"items\":{\"name\":\"a\"}}", "={}\n");
	check_text(list, "{\"items\":null}", "={}\n");
	check_text(list, "{\"items\":[1,[{}],{}]}", "null\nnull\n{}\n={}\n");
	check_text(list, "{\"items\":[{\"name\":\"a\"},{\"na", "{\"name\":\"a\"}\nhalf");
	/* each with a budget of its own */
	check_text(
	        list,
	        "{\"items\":[{\"name\":\"a\",\"note\":"
	        "\"12345678901234567890123456789012345678901234567890\"},"
	        "{\"name\":\"b\",\"note\":\"1234567890\"}]}",
	        "*{\"name\":\"a\",\"note\":null}\n{\"name\":\"b\",\"note\":\"1234567890\"}\n={}\n");
}

static void test_the_receiver_stops_it(void **state)
{
	static char storage[STORAGE];
	static const char text[] = "{\"items\":[{\"name\":\"a\"},{\"name\":\"b\"},{}]}";
	struct json_stream stream;
	struct error error = {"untouched"};
	struct run run = {.stop_after = 2};
	(void)state;
	buffer_init(&run.pieces, 1000);
	assert_true(json_stream_init(&stream, list, 64, storage, sizeof storage, &error));
	assert_false(json_stream_feed(&stream, text, strlen(text), take, &run, &error));
	assert_false(json_stream_feed(&stream, text, strlen(text), take, &run, &error));
	assert_string_equal(error.message, "untouched");
	assert_false(json_stream_failed(&stream));
	assert_string_equal(buffer_text(&run.pieces), "{\"name\":\"a\"}\n{\"name\":\"b\"}\n");
	buffer_free(&run.pieces);
}

static void test_an_error_says_where(void **state)
{
	static char storage[STORAGE];
	struct json_stream stream;
	struct error error;
	struct run run = {.stop_after = 0};
	(void)state;
	buffer_init(&run.pieces, 1000);
	assert_true(json_stream_init(&stream, list, 64, storage, sizeof storage, &error));
	assert_true(json_stream_feed(&stream, "{\"items\":", 9, take, &run, &error));
	assert_false(json_stream_feed(&stream, "[}", 2, take, &run, &error));
	assert_string_equal(error.message, "not JSON at byte 11: a value was expected");
	buffer_free(&run.pieces);
}

/* ---- Bounds ---- */

static void test_a_filter_that_breaks_its_rules(void **state)
{
	static const struct json_filter wild[] = {{.key = "k*"}, {.key = NULL}};
	static const struct json_filter twice[] = {{.key = "a", .members = item, .each = true},
	                                           {.key = "b", .members = item, .each = true},
	                                           {.key = NULL}};
	static const struct json_filter inner[] = {{.key = "o", .members = list}, {.key = NULL}};
	static const struct json_filter scalars[] = {{.key = "a", .each = true}, {.key = NULL}};
	static const struct json_filter both[] = {{.key = "a", .members = item, .each = true},
	                                          {.key = "b", .extra = true},
	                                          {.key = NULL}};
	static const struct json_filter huge[] = {
	        {.key = "a", .text_max = ~0U, .elements_max = ~0U}, {.key = NULL}};
	struct json_filter many[66];
	struct json_filter deep[14][2];
	(void)state;
	for (size_t i = 0; i < 65; i++)
		many[i] = (struct json_filter){.key = "a"};
	many[65] = (struct json_filter){.key = NULL};
	for (size_t i = 0; i < 14; i++) {
		deep[i][0] =
		        (struct json_filter){.key = "a", .members = i == 0 ? leaf : deep[i - 1]};
		deep[i][1] = (struct json_filter){.key = NULL};
	}
	assert_int_equal(json_filter_bound(wild, 64), 0);
	assert_int_equal(json_filter_bound(twice, 64), 0);
	assert_int_equal(json_filter_bound(inner, 64), 0);
	assert_int_equal(json_filter_bound(scalars, 64), 0);
	assert_int_equal(json_filter_bound(both, 64), 0);
	assert_int_equal(json_filter_bound(huge, 64), 0);
	assert_int_equal(json_filter_bound(many, 64), 0);
	assert_int_equal(json_filter_bound(many + 1, 64) > 0, 1);
	assert_int_equal(json_filter_bound(deep[13], 64), 0);
	assert_int_not_equal(json_filter_bound(deep[9], 64), 0);
}

/* The longest that the filter lets through, written out; members twice, since the second ones must
 * not count. */
static void write_worst(struct buffer *out, const struct json_filter *members)
{
	buffer_append_char(out, '{');
	bool first = true;
	for (int twice = 0; twice < 2; twice++) {
		for (const struct json_filter *m = members; m->key != NULL; m++) {
			size_t count = m->elements_max > 0 ? m->elements_max + 3 : 1;
			buffer_printf(out, "%s\"%s\":%s", first ? "" : ",",
			              json_filter_is_wildcard(m) ? "k/some" : m->key,
			              m->elements_max > 0 || m->each ? "[" : "");
			first = false;
			for (size_t i = 0; i < count; i++) {
				if (i > 0)
					buffer_append_char(out, ',');
				if (m->members != NULL) {
					write_worst(out, m->members);
					continue;
				}
				buffer_append_char(out, '"');
				for (size_t k = json_filter_text_max(m); k > 0; k--)
					buffer_append_char(out, 'x');
				buffer_append_char(out, '"');
			}
			if (m->elements_max > 0 || m->each)
				buffer_append_char(out, ']');
		}
	}
	buffer_append_char(out, '}');
}

static bool longest(void *context, const struct json_piece *piece)
{
	size_t *most = context;
	*most = piece->length > *most ? piece->length : *most;
	return true;
}

static void test_the_bound_is_kept_and_needed(void **state)
{
	static const struct json_filter *const filters[] = {everything, list, a_only};
	(void)state;
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		struct json_stream stream;
		struct error error;
		struct buffer worst;
		size_t most = 0;
		size_t bound = json_filter_bound(filters[i], 64);
		buffer_init(&worst, (size_t)1 << 20);
		write_worst(&worst, filters[i]);
		char *storage = malloc(bound + 1);
		assert_false(json_stream_init(&stream, filters[i], 64, storage, bound, &error));
		assert_true(json_stream_init(&stream, filters[i], 64, storage, bound + 1, &error));
		assert_true(json_stream_feed(&stream, worst.data, worst.length, longest, &most,
		                             &error));
		assert_true(most <= bound);
		/* No more than the comma that the first member has not, and the unused budget. */
		if (filters[i] == a_only)
			assert_int_equal(most, bound - 64 - 2);
		buffer_free(&worst);
		free(storage);
	}
}

/* The work for twice the bytes is twice the work, whatever they are. */
static void test_work_is_linear(void **state)
{
	static const char *const units[] = {
	        "{\"a\":1}",
	        "\"x\":{\"a\":[1,2]},",
	        "[[],[]],",
	        "\"containers\":[{}],",
	        "\"k\":\"\\u003c\",",
	        "\"notes\":{\"k/1\":1},",
	        "\"a\":1,",
	        "\"o\":{\"x\":\"\xff\\n\"},",
	        "\"containers\":[{\"name\":\"dog\",\"command\":[\"\"]}],",
	};
	(void)state;
	for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
		for (size_t times = 1000; times <= 16000; times *= 4) {
			static char storage[STORAGE];
			struct json_stream stream;
			struct error error;
			size_t most = 0;
			struct buffer text;
			buffer_init(&text, (size_t)4 << 20);
			bool objects = units[u][0] == '{';
			bool elements = units[u][0] == '[';
			buffer_append_text(&text, objects ? "" : elements ? "{\"a\":[" : "{");
			for (size_t i = 0; i < times; i++)
				buffer_append_text(&text, units[u]);
			buffer_append_text(&text, objects ? "" : elements ? "1]}" : "\"a\":1}");
			assert_true(json_stream_init(&stream, everything, 64, storage,
			                             sizeof storage, &error));
			assert_true(json_stream_feed(&stream, text.data, text.length, longest,
			                             &most, &error));
			assert_true(json_stream_is_between(&stream));
			assert_true(stream.scanner.work <= 2 * text.length);
			assert_true(stream.keys <= 2 * text.length);
			buffer_free(&text);
		}
	}
}

/* A pod of the API server's maximum: 1.5 MB, printed as 8.7 MB. */
static void test_a_huge_value_is_passed_by(void **state)
{
	static char storage[1024];
	struct json_stream stream;
	struct error error;
	struct run run = {.stop_after = 0, .each = true};
	(void)state;
	buffer_init(&run.pieces, 1000);
	assert_true(json_stream_init(&stream, list, 64, storage, sizeof storage, &error));
	assert_true(json_stream_feed(&stream, "{\"items\":[{\"args\":[\"", 20, take, &run, &error));
	for (size_t i = 0; i < 1450000; i++)
		assert_true(json_stream_feed(&stream, "\\u003c", 6, take, &run, &error));
	static const char rest[] = "\"],\"name\":\"a\"},{\"name\":\"b\"}]}";
	assert_true(json_stream_feed(&stream, rest, strlen(rest), take, &run, &error));
	assert_string_equal(buffer_text(&run.pieces), "{\"name\":\"a\"}\n{\"name\":\"b\"}\n={}\n");
	buffer_free(&run.pieces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_values_as_rfc_8259_has_them),
	        cmocka_unit_test(test_what_stands_between_objects),
	        cmocka_unit_test(test_nesting_has_an_end),
	        cmocka_unit_test(test_what_is_kept),
	        cmocka_unit_test(test_elements_one_by_one),
	        cmocka_unit_test(test_the_receiver_stops_it),
	        cmocka_unit_test(test_an_error_says_where),
	        cmocka_unit_test(test_a_filter_that_breaks_its_rules),
	        cmocka_unit_test(test_the_bound_is_kept_and_needed),
	        cmocka_unit_test(test_work_is_linear),
	        cmocka_unit_test(test_a_huge_value_is_passed_by),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
