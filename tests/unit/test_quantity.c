/* Quantities against a table (tests/data/quantities.txt), and the properties of their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/document/quantity.h"

#define TABLE "tests/data/quantities.txt"

struct row {
	char left[160];
	char relation[4];
	char right[160];
};

static struct row rows[400];
static size_t row_count;

/* A word, or a quoted text that may have spaces. */
static const char *read_word(const char *in, char *out, size_t size)
{
	in += strspn(in, " ");
	bool quoted = *in == '"';
	const char *end = quoted ? strchr(in + 1, '"') : in + strcspn(in, " \n");
	assert_non_null(end);
	size_t length = (size_t)(end - in) - quoted;
	assert_true(length < size);
	memcpy(out, in + quoted, length);
	out[length] = '\0';
	return end + quoted;
}

static int load_table(void **state)
{
	(void)state;
	FILE *file = fopen(TABLE, "re");
	assert_non_null(file);
	char line[512];
	while (fgets(line, sizeof line, file) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		struct row *row = &rows[row_count++];
		const char *rest = read_word(line, row->left, sizeof row->left);
		rest = read_word(rest, row->relation, sizeof row->relation);
		read_word(rest, row->right, sizeof row->right);
	}
	fclose(file);
	assert_true(row_count >= 150);
	return 0;
}

static void parse(const char *text, struct quantity *quantity)
{
	struct error error = {""};
	if (!quantity_parse(text, quantity, &error))
		fail_msg("\"%s\": %s", text, error.message);
}

static void check_order(const struct row *row)
{
	struct quantity a;
	struct quantity b;
	parse(row->left, &a);
	parse(row->right, &b);
	int expected = row->relation[0] == '<' ? -1 : 0;
	int forward = quantity_compare(&a, &b);
	int backward = quantity_compare(&b, &a);
	if ((expected < 0) != (forward < 0) || (expected < 0) != (backward > 0) ||
	    (expected == 0) != (forward == 0))
		fail_msg("%s %s %s: compared %d and %d", row->left, row->relation, row->right,
		         forward, backward);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		struct quantity value;
		struct error error = {""};
		if (rows[i].relation[0] == '!') {
			if (quantity_parse(rows[i].left, &value, &error))
				fail_msg("\"%s\" was taken", rows[i].left);
			assert_string_not_equal(error.message, "");
		} else {
			check_order(&rows[i]);
		}
	}
}

static void test_too_long(void **state)
{
	(void)state;
	char text[QUANTITY_TEXT_MAX + 2];
	struct quantity value;
	memset(text, '1', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_false(quantity_parse(text, &value, NULL));
	text[QUANTITY_TEXT_MAX] = '\0';
	assert_true(quantity_parse(text, &value, NULL));
}

static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % limit);
}

static void random_quantity(struct quantity *quantity)
{
	static const char *const suffixes[] = {"",   "n",  "u",  "m",   "k",  "M",  "G",
	                                       "T",  "P",  "E",  "Ki",  "Mi", "Gi", "Ti",
	                                       "Pi", "Ei", "e3", "E-2", "e20"};
	char text[80];
	snprintf(text, sizeof text, "%s%u%s%u%s", random_below(3) == 0 ? "-" : "",
	         random_below(random_below(2) ? 30 : 100000), random_below(2) ? "." : "",
	         random_below(1000), suffixes[random_below(sizeof suffixes / sizeof suffixes[0])]);
	parse(text, quantity);
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

static void test_order_properties(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct quantity a;
		struct quantity b;
		struct quantity c;
		random_quantity(&a);
		random_quantity(&b);
		random_quantity(&c);
		assert_int_equal(quantity_compare(&a, &a), 0);
		assert_int_equal(sign(quantity_compare(&a, &b)), -sign(quantity_compare(&b, &a)));
		if (quantity_compare(&a, &b) <= 0 && quantity_compare(&b, &c) <= 0)
			assert_true(quantity_compare(&a, &c) <= 0);
		struct quantity left = a;
		struct quantity right = b;
		assert_true(quantity_add(&left, &c));
		assert_true(quantity_add(&right, &c));
		assert_int_equal(sign(quantity_compare(&left, &right)),
		                 sign(quantity_compare(&a, &b)));
	}
}

static void test_add(void **state)
{
	(void)state;
	static const char *const sums[][3] = {{"1", "2", "3"},
	                                      {"500m", "500m", "1"},
	                                      {"1Gi", "512Mi", "1536Mi"},
	                                      {"0", "1Ki", "1Ki"},
	                                      {"1", "-1", "0"},
	                                      {"1n", "1E", "1000000000000000000000000001n"},
	                                      {"-5", "3", "-2"},
	                                      {"9223372036854775807", "1", "9223372036854775808"}};
	for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
		struct quantity sum;
		struct quantity more;
		struct quantity expected;
		parse(sums[i][0], &sum);
		parse(sums[i][1], &more);
		parse(sums[i][2], &expected);
		assert_true(quantity_add(&sum, &more));
		assert_int_equal(quantity_compare(&sum, &expected), 0);
	}
	struct quantity huge;
	struct quantity tiny;
	parse("1e1000", &huge);
	parse("1n", &tiny);
	struct quantity before = huge;
	assert_false(quantity_add(&huge, &tiny));
	assert_int_equal(quantity_compare(&huge, &before), 0);
}

static void test_to_integer(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool fits;
		int64_t value;
	} cases[] = {{"1Ki", true, 1024},
	             {"9223372036854775807", true, INT64_MAX},
	             {"-9223372036854775808", true, INT64_MIN},
	             {"9223372036854775808", false, 0},
	             {"1500m", false, 0},
	             {"0", true, 0},
	             {"1e19", false, 0},
	             {"5e18", true, 5000000000000000000}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct quantity value;
		int64_t integer = 0;
		parse(cases[i].text, &value);
		assert_int_equal(quantity_to_integer(&value, &integer), cases[i].fits);
		assert_true(integer == cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table),
	        cmocka_unit_test(test_too_long),
	        cmocka_unit_test(test_order_properties),
	        cmocka_unit_test(test_add),
	        cmocka_unit_test(test_to_integer),
	};
	return cmocka_run_group_tests(tests, load_table, NULL);
}
