/* Text for a terminal: what is replaced, how wide it is, where it is cut; tables; AGE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

static char storage[65536];
static struct buffer out;

static const char *line(const char *text)
{
	buffer_init_fixed(&out, storage, sizeof storage);
	terminal_line(&out, text);
	return buffer_text(&out);
}

static void test_lines(void **state)
{
	(void)state;
	assert_string_equal(line(""), "");
	assert_string_equal(line("plain ~ \xc3\xa9"), "plain ~ \xc3\xa9");
	assert_string_equal(line("a\nb\tc\rd"), "a b c d");
	assert_string_equal(line("\x1b[1;31mred\x1b[m"), "red");
	assert_string_equal(line("\x1b[31"), "^[[31");
	assert_string_equal(line("\x1b]0;title\x07"), "^[]0;title\xef\xbf\xbd");
	assert_string_equal(line("\xc2\x9b"
	                         "2J"),
	                    "\xef\xbf\xbd"
	                    "2J");
	assert_string_equal(line("\x9b\xff\x7f\x01"),
	                    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(line("\xe2\x80\xae"
	                         "abc\xe2\x81\xa6"),
	                    "\xef\xbf\xbd"
	                    "abc\xef\xbf\xbd");
}

static void test_blocks(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *block;
	} cases[] = {
	        {"", ""},
	        {"a", "> a\n"},
	        {"a\nb\n", "> a\n> b\n"},
	        {"a\n\n", "> a\n> \n"},
	        {"a\r\nb\r\r\n", "> a\n> b\n"},
	        {"1%\r50%\r100%\nend", "> 100%\n> end\n"},
	        {"\x1b[1mkey\x1b[0m:\tvalue\x1b", "> key:\tvalue^[\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buffer_init_fixed(&out, storage, sizeof storage);
		terminal_block(&out, cases[i].text, "> ");
		assert_string_equal(buffer_text(&out), cases[i].block);
	}
}

static void test_json(void **state)
{
	(void)state;
	static const char json[] =
	        "{\n\"a\": \"\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81\xff\xc3\xa9\"}";
	buffer_init_fixed(&out, storage, sizeof storage);
	terminal_json(&out, json, sizeof json - 1);
	assert_string_equal(
	        buffer_text(&out),
	        "{\n\"a\": \"\\u007f\\u009b\\u202e\\udb40\\udc01\xef\xbf\xbd\xc3\xa9\"}");
}

static void test_columns(void **state)
{
	(void)state;
	assert_int_equal(terminal_columns(""), 0);
	assert_int_equal(terminal_columns("abc"), 3);
	assert_int_equal(terminal_columns("\xc3\xa9t\xc3\xa9"), 3);
	assert_int_equal(terminal_columns("e\xcc\x81"), 1);                /* combining acute */
	assert_int_equal(terminal_columns("\xe5\x86\x85\xe5\xad\x98"), 4); /* CJK */
	assert_int_equal(terminal_columns("\xf0\x9f\x92\xbb"), 2);         /* emoji */
	assert_int_equal(terminal_columns("\xef\xbf\xbd"), 1);
}

static void test_cuts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t width;
		bool middle;
		const char *cut;
	} cases[] = {
	        {"abcdef", 6, false, "abcdef"},
	        {"abcdef", 5, false, "abcd\xe2\x80\xa6"},
	        {"abcdef", 1, false, "\xe2\x80\xa6"},
	        {"abcdef", 1, true, "\xe2\x80\xa6"},
	        {"abcdefgh", 5, true, "ab\xe2\x80\xa6gh"},
	        {"abcdefgh", 4, true, "ab\xe2\x80\xa6h"},
	        /* a wide one does not fit into one column */
	        {"\xe5\x86\x85\xe5\xad\x98", 3, false, "\xe5\x86\x85\xe2\x80\xa6"},
	        {"\xe5\x86\x85\xe5\xad\x98", 2, false, "\xe2\x80\xa6"},
	        /* what combines goes with its base, on both sides */
	        {"e\xcc\x81xyz", 3, false, "e\xcc\x81x\xe2\x80\xa6"},
	        {"abcde\xcc\x81z", 4, true, "ab\xe2\x80\xa6z"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buffer_init_fixed(&out, storage, sizeof storage);
		terminal_cut(&out, cases[i].text, cases[i].width, cases[i].middle);
		assert_string_equal(buffer_text(&out), cases[i].cut);
	}
}

/* duration_test.go of k8s.io/apimachinery. */
static void test_ages(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds;
		const char *age;
	} cases[] = {
	        {-5, "0s"},           {0, "0s"},           {70, "70s"},       {119, "119s"},
	        {120, "2m"},          {190, "3m10s"},      {600, "10m"},      {10799, "179m"},
	        {10800, "3h"},        {11640, "3h14m"},    {28800, "8h"},     {172799, "47h"},
	        {172800, "2d"},       {183600, "2d3h"},    {691200, "8d"},    {7689600, "89d"},
	        {63072000, "2y"},     {64108800, "2y12d"}, {252288000, "8y"}, {315360000, "10y"},
	        {9223372036, "292y"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buffer_init_fixed(&out, storage, sizeof storage);
		terminal_age(&out, cases[i].seconds * 1000000000);
		assert_string_equal(buffer_text(&out), cases[i].age);
	}
}

/* Any bytes, any width: no control character, valid UTF-8, never wider, nothing of it lost where it
 * fits. */
static void test_any_table_fits(void **state)
{
	(void)state;
	static const char *const pieces[] = {
	        "a",       "-",    " ",        "\xc3\xa9", "\xe5\x86\x85", "e\xcc\x81",
	        "\x1b[2J", "\xff", "\xc2\x9b", "\n",       "long-word",    "\xf0\x9f\x92\xbb"};
	static const struct table_column columns[] = {
	        {.title = "POD", .shrink_turn = 2, .min_width = 8, .middle = true},
	        {.title = "EXIT", .drop_turn = 1},
	        {.title = "SUMMARY", .shrink_turn = 1, .drop_turn = 2, .min_width = 10},
	};
	unsigned seed = 7;
	for (int round = 0; round < 2000; round++) {
		static char texts[9][512];
		const char *cells[9];
		for (size_t i = 0; i < 9; i++) {
			struct buffer cell;
			buffer_init_fixed(&cell, texts[i], sizeof texts[i]);
			for (int n = rand_r(&seed) % 20; n > 0; n--)
				terminal_line(&cell, pieces[(size_t)rand_r(&seed) % 12]);
			if (i % 3 == 1)
				buffer_truncate(&cell, utf8_valid_prefix(
				                               buffer_text(&cell),
				                               cell.length < 4 ? cell.length : 4));
			cells[i] = buffer_text(&cell);
		}
		size_t width = 20 + (size_t)(rand_r(&seed) % 120);
		buffer_init_fixed(&out, storage, sizeof storage);
		table_print(&out, &(struct table){.columns = columns, .count = 3, .width = width},
		            cells, 3);
		assert_int_equal(utf8_valid_prefix(out.data, out.length), out.length);
		size_t lines = 0;
		for (char *at = storage, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
			*end = '\0';
			assert_true(terminal_columns(at) <= width);
			for (const char *c = at; *c != '\0'; c++)
				assert_true((unsigned char)*c >= ' ');
			lines++;
		}
		assert_int_equal(lines, 4);
	}
}

static void test_a_table_as_kubectl_prints_it(void **state)
{
	(void)state;
	static const struct table_column columns[] = {
	        {.title = "NAME", .shrink_turn = 1, .min_width = 4},
	        {.title = "AGE", .drop_turn = 1}};
	static const char *const cells[] = {"a", "5m", "longer", ""};
	buffer_init_fixed(&out, storage, sizeof storage);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = SIZE_MAX}, cells,
	            2);
	assert_string_equal(buffer_text(&out), "NAME     AGE\na        5m\nlonger\n");
	buffer_clear(&out);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 11}, cells, 2);
	assert_string_equal(buffer_text(&out), "NAME    AGE\na       5m\nlong\xe2\x80\xa6\n");
	buffer_clear(&out);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 9}, cells, 2);
	assert_string_equal(buffer_text(&out), "NAME  AGE\na     5m\nlon\xe2\x80\xa6\n");
	buffer_clear(&out);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 5}, cells, 2);
	assert_string_equal(buffer_text(&out), "NAME\na\nlong\xe2\x80\xa6\n");
	buffer_clear(&out);
	table_print(&out,
	            &(struct table){
	                    .columns = columns, .count = 2, .width = SIZE_MAX, .no_titles = true},
	            cells, 2);
	assert_string_equal(buffer_text(&out), "a        5m\nlonger\n");
}

/* Where it does not fit, a column that says nothing goes first. */
static void test_columns_that_repeat(void **state)
{
	(void)state;
	static const struct table_column columns[] = {
	        {.title = "NAME", .shrink_turn = 1, .min_width = 4},
	        {.title = "OF", .drop_if_same = true}};
	static const char *const cells[] = {"first", "main", "second", "main"};
	static const char *const differ[] = {"first", "main", "second", "wait"};
	buffer_init_fixed(&out, storage, sizeof storage);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 13}, cells, 2);
	assert_string_equal(buffer_text(&out), "NAME     OF\nfirst    main\nsecond   main\n");
	buffer_clear(&out);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 12}, cells, 2);
	assert_string_equal(buffer_text(&out), "NAME\nfirst\nsecond\n");
	buffer_clear(&out);
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 12}, differ, 2);
	assert_string_equal(buffer_text(&out), "NAME    OF\nfirst   main\nseco…   wait\n");
	buffer_clear(&out); /* a single row repeats nothing */
	table_print(&out, &(struct table){.columns = columns, .count = 2, .width = 11}, cells, 1);
	assert_string_equal(buffer_text(&out), "NAME   OF\nfir…   main\n");
}

/* Rows that come later fit those above; other columns get titles again. */
static void test_a_table_that_grows(void **state)
{
	(void)state;
	static const struct table_column columns[] = {
	        {.title = "NAME"}, {.title = "OF", .drop_turn = 1, .drop_if_same = true}};
	static const char *const cells[] = {"first", "main", "b", "main", "a-long-name", "main"};
	struct table_memory memory = {.titled = false};
	const struct table table = {.columns = columns, .count = 2, .width = 14, .memory = &memory};
	buffer_init_fixed(&out, storage, sizeof storage);
	table_print(&out, &table, cells, 1);
	table_print(&out, &table, cells + 2, 1);
	assert_string_equal(buffer_text(&out), "NAME    OF\nfirst   main\nb       main\n");
	buffer_clear(&out);
	table_print(&out, &table, cells + 4, 1);
	table_print(&out, &table, cells, 1);
	assert_string_equal(buffer_text(&out), "NAME\na-long-name\nfirst\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lines),
	        cmocka_unit_test(test_blocks),
	        cmocka_unit_test(test_json),
	        cmocka_unit_test(test_columns),
	        cmocka_unit_test(test_cuts),
	        cmocka_unit_test(test_columns_that_repeat),
	        cmocka_unit_test(test_a_table_that_grows),
	        cmocka_unit_test(test_ages),
	        cmocka_unit_test(test_any_table_fits),
	        cmocka_unit_test(test_a_table_as_kubectl_prints_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
