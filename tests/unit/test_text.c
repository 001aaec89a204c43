/* error, buffer, ascii, utf8, base64, glob, duration, timestamp, JSON writing: the modules that are
 * only text. */
#include <ctype.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/ascii.h"
#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/base/error.h"
#include "lib/base/glob.h"
#include "lib/base/json_write.h"
#include "lib/base/nearest.h"
#include "lib/kube/version.h"
#include "lib/base/timestamp.h"
#include "lib/base/utf8.h"

static void test_error_wraps_in_front(void **state)
{
	(void)state;
	struct error error;
	assert_false(error_set(&error, "line %d", 3));
	assert_false(error_wrap(&error, "reading %s", "a.yaml"));
	assert_string_equal(error.message, "reading a.yaml: line 3");
	assert_false(error_set_errno(&error, 2, "opening x"));
	assert_string_equal(error.message, "opening x: No such file or directory");
	assert_false(error_set(NULL, "nobody wants it"));
	assert_false(error_wrap(NULL, "nobody wants it"));
	assert_false(error_set_errno(NULL, 2, "nobody wants it"));
}

static void test_error_is_cut_not_overrun(void **state)
{
	(void)state;
	char long_text[2 * ERROR_MESSAGE_SIZE];
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	struct error error;
	error_set(&error, "%s", long_text);
	assert_int_equal(strlen(error.message), ERROR_MESSAGE_SIZE - 1);
	error_wrap(&error, "in front");
	assert_int_equal(strlen(error.message), ERROR_MESSAGE_SIZE - 1);
	assert_memory_equal(error.message, "in front: xxx", 13);
	error_wrap(&error, "%s", long_text);
	assert_true(strlen(error.message) < ERROR_MESSAGE_SIZE);
}

static void test_buffer_grows_to_its_limit(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	assert_string_equal(buffer_text(&buffer), "");
	for (int i = 0; i < 100; i++)
		buffer_append(&buffer, "0123456789", 10);
	assert_true(buffer_ok(&buffer));
	assert_int_equal(buffer.length, 1000);
	buffer_append_char(&buffer, 'x');
	assert_false(buffer_ok(&buffer));
	assert_int_equal(buffer.length, 1000);
	buffer_printf(&buffer, "%d", 1);
	assert_null(buffer_extend(&buffer, 0));
	assert_int_equal(buffer.length, 1000);
	assert_null(buffer_steal(&buffer));
	buffer_append_text(&buffer, "again");
	assert_string_equal(buffer_text(&buffer), "again");
	buffer_truncate(&buffer, 2);
	buffer_truncate(&buffer, 20);
	assert_string_equal(buffer_text(&buffer), "ag");
	char *stolen = buffer_steal(&buffer);
	assert_string_equal(stolen, "ag");
	free(stolen);
	buffer_free(&buffer);
	buffer_free(NULL);
}

static void test_buffer_in_fixed_storage(void **state)
{
	(void)state;
	char storage[8];
	struct buffer buffer;
	buffer_init_fixed(&buffer, storage, sizeof storage);
	buffer_append_text(&buffer, "1234567");
	assert_true(buffer_ok(&buffer));
	buffer_append_char(&buffer, '8');
	assert_false(buffer_ok(&buffer));
	assert_string_equal(storage, "1234567");
	buffer_clear(&buffer);
	buffer_printf(&buffer, "%s", "12345678");
	assert_false(buffer_ok(&buffer));
	assert_string_equal(storage, "");
	buffer_free(&buffer);
}

static void test_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t sequence;
	} cases[] = {
	        {"a", 1},
	        {"\xC3\xA9", 2},
	        {"\xE2\x82\xAC", 3},
	        {"\xF0\x9F\x98\x80", 4},
	        {"\x80", 0},
	        {"\xC0\x80", 0},
	        {"\xC1\xBF", 0},
	        {"\xC3", 0},
	        {"\xE0\x80\x80", 0},
	        {"\xE0\xA0\x80", 3},
	        {"\xED\x9F\xBF", 3},
	        {"\xED\xA0\x80", 0},
	        {"\xF0\x80\x80\x80", 0},
	        {"\xF0\x90\x80\x80", 4},
	        {"\xF4\x8F\xBF\xBF", 4},
	        {"\xF4\x90\x80\x80", 0},
	        {"\xF5\x80\x80\x80", 0},
	        {"\xE2\x82", 0},
	        {"\xFF", 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(utf8_sequence(cases[i].bytes, strlen(cases[i].bytes)),
		                 cases[i].sequence);
	assert_int_equal(utf8_sequence("", 0), 0);
	assert_int_equal(utf8_valid_prefix("0123456789\xC3\xA9"
	                                   "0123456\xFFxyz",
	                                   23),
	                 19);
	assert_int_equal(utf8_valid_prefix("abc", 3), 3);
}

/* Every pattern and text of up to four bytes over a small alphabet, beside fnmatch(). */
static void test_globs_beside_fnmatch(void **state)
{
	(void)state;
	static const char alphabet[] = "ab*?";
	enum { WORDS = 1 + 4 + 16 + 64 + 256 };
	static char words[WORDS][5];
	size_t count = 1;
	for (size_t from = 0, length = 0; length < 4; length++) {
		size_t to = count;
		for (; from < to; from++)
			for (size_t i = 0; i < 4; i++, count++)
				snprintf(words[count], sizeof words[count], "%.3s%c", words[from],
				         alphabet[i]);
	}
	assert_int_equal(count, WORDS);
	for (size_t p = 0; p < WORDS; p++)
		for (size_t t = 0; t < WORDS; t++) {
			const char *const patterns[] = {"b?c", words[p]};
			if (strpbrk(words[t], "*?") != NULL)
				continue; /* patterns only */
			bool expected = fnmatch(words[p], words[t], 0) == 0;
			if (glob_match(words[p], words[t]) != expected ||
			    glob_match_any(patterns, 2, words[t]) != expected)
				fail_msg("\"%s\" and \"%s\"", words[p], words[t]);
		}
}

/* All lengths: encoded in groups of several sizes, decoded to the same bytes. */
static void test_base64_lengths(void **state)
{
	(void)state;
	unsigned char bytes[100];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 37 + 11);
	for (size_t length = 0; length <= sizeof bytes; length++) {
		struct buffer text;
		struct buffer back;
		buffer_init(&text, 1000);
		buffer_init(&back, 1000);
		base64_encode(&text, bytes, length);
		assert_int_equal(text.length, (length + 2) / 3 * 4);
		assert_true(base64_decode(&back, buffer_text(&text), text.length));
		assert_int_equal(back.length, length);
		assert_memory_equal(buffer_text(&back), bytes, length);
		buffer_free(&text);
		buffer_free(&back);
	}
}

static void test_base64(void **state)
{
	(void)state;
	/* RFC 4648 section 10 */
	static const char *const vectors[][2] = {{"", ""},
	                                         {"f", "Zg=="},
	                                         {"fo", "Zm8="},
	                                         {"foo", "Zm9v"},
	                                         {"foob", "Zm9vYg=="},
	                                         {"fooba", "Zm9vYmE="},
	                                         {"foobar", "Zm9vYmFy"}};
	struct buffer out;
	char storage[64];
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		buffer_init_fixed(&out, storage, sizeof storage);
		base64_encode(&out, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(storage, vectors[i][1]);
		buffer_init_fixed(&out, storage, sizeof storage);
		assert_true(base64_decode(&out, vectors[i][1], strlen(vectors[i][1])));
		assert_string_equal(storage, vectors[i][0]);
	}
	static const char *const bad[] = {"Z",    "Zg",     "Zg=",  "Zh==",     "Zm9=", "Z===",
	                                  "====", "Zm9v\n", "Zm 9", "Zg==Zg==", "Zm-v"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		buffer_init_fixed(&out, storage, sizeof storage);
		if (base64_decode(&out, bad[i], strlen(bad[i])))
			fail_msg("\"%s\" was decoded", bad[i]);
	}
}

static void test_glob(void **state)
{
	(void)state;
	static const struct {
		const char *pattern;
		const char *text;
		bool matches;
	} cases[] = {
	        {"", "", true},
	        {"", "a", false},
	        {"*", "", true},
	        {"*", "anything/x", true},
	        {"a", "a", true},
	        {"a", "A", false},
	        {"a*", "a", true},
	        {"a*", "abc", true},
	        {"*c", "abc", true},
	        {"*c", "abcd", false},
	        {"a?c", "abc", true},
	        {"a?c", "ac", false},
	        {"step-*", "step-build", true},
	        {"step-*", "sidecar-x", false},
	        {"*/systemd", "/usr/lib/systemd", true},
	        {"*a*b*c*", "xxaxxbxxcxx", true},
	        {"*a*b*c*", "xxaxxcxxbxx", false},
	        {"**", "x", true},
	        {"[a]", "a", false},
	        {"a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	         false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].matches)
			fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
}

static void test_duration(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t value;
		const char *printed;
	} good[] = {
	        {"0", 0, "0s"},
	        {"0s", 0, "0s"},
	        {"-0", 0, "0s"},
	        {"5s", 5000000000, "5s"},
	        {"30s", 30000000000, "30s"},
	        {"1478s", 1478000000000, "24m38s"},
	        {"-5s", -5000000000, "-5s"},
	        {"+5s", 5000000000, "5s"},
	        {"5.0s", 5000000000, "5s"},
	        {"5.6s", 5600000000, "5.6s"},
	        {"5.s", 5000000000, "5s"},
	        {".5s", 500000000, "500ms"},
	        {"1.004s", 1004000000, "1.004s"},
	        {"100.00100s", 100001000000, "1m40.001s"},
	        {"10ns", 10, "10ns"},
	        {"11us", 11000, "11\xC2\xB5s"},
	        {"12\xC2\xB5s", 12000, "12\xC2\xB5s"},
	        {"12\xCE\xBCs", 12000, "12\xC2\xB5s"},
	        {"13ms", 13000000, "13ms"},
	        {"14s", 14000000000, "14s"},
	        {"15m", 900000000000, "15m0s"},
	        {"16h", 57600000000000, "16h0m0s"},
	        {"24h", 86400000000000, "24h0m0s"},
	        {"3h30m", 12600000000000, "3h30m0s"},
	        {"10.5s4m", 250500000000, "4m10.5s"},
	        {"-2m3.4s", -123400000000, "-2m3.4s"},
	        {"1h2m3s4ms5us6ns", 3723004005006, "1h2m3.004005006s"},
	        {"39h9m14.425s", 140954425000000, "39h9m14.425s"},
	        {"0.3333333333333333333h", 1199999999999, "19m59.999999999s"},
	        {"9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s"},
	        {"-9223372036854775808ns", INT64_MIN, "-2562047h47m16.854775808s"},
	        {"0.100000000000000000000h", 360000000000, "6m0s"},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		int64_t value = 1;
		struct error error = {""};
		char text[64];
		struct buffer out;
		if (!duration_parse(good[i].text, &value, &error))
			fail_msg("\"%s\": %s", good[i].text, error.message);
		if (value != good[i].value)
			fail_msg("\"%s\": got %lld", good[i].text, (long long)value);
		buffer_init_fixed(&out, text, sizeof text);
		duration_print(&out, value);
		assert_string_equal(text, good[i].printed);
		assert_true(duration_parse(text, &value, &error));
		assert_true(value == good[i].value);
	}
	static const char *const bad[] = {"",         "3",
	                                  "-",        "s",
	                                  ".",        "-.",
	                                  ".s",       "+.s",
	                                  "1d",       "5 s",
	                                  "5S",       "1.2",
	                                  "1h ",      "x1s",
	                                  "1s1",      "--1s",
	                                  "3000000h", "9223372036854775808ns",
	                                  "1e3s",     "-9223372036854775809ns"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t value = 7;
		struct error error = {""};
		if (duration_parse(bad[i], &value, &error))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(value == 7);
		assert_non_null(strstr(error.message, "expected a duration"));
	}
}

static void test_kube_version(void **state)
{
	(void)state;
	unsigned minor = 0;
	assert_true(kube_version_parse("1.36", &minor, NULL));
	assert_int_equal(minor, 36);
	assert_true(kube_version_parse("v1.20.2", &minor, NULL));
	assert_int_equal(minor, 20);
	assert_true(kube_version_parse("v1.33.4-gke.100", &minor, NULL));
	assert_true(kube_version_parse("1.32+", &minor, NULL));
	static const char *const bad[] = {"",      "1",   "1.", "2.1",     "v",    "1.x",
	                                  "1.36x", "1.0", "36", "1.99999", " 1.36"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (kube_version_parse(bad[i], &minor, NULL))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void test_json_writer(void **state)
{
	(void)state;
	struct buffer out;
	struct json_writer writer;
	char storage[512];
	buffer_init_fixed(&out, storage, sizeof storage);
	json_writer_init(&writer, &out);
	json_write_object_begin(&writer);
	json_write_member(&writer, "text", "a\"b\\c\n\t\x01\x7F\xC3\xA9\xFF");
	json_write_member(&writer, "none", NULL);
	json_write_member_integer(&writer, "min", INT64_MIN);
	json_write_member_bool(&writer, "yes", true);
	json_write_key(&writer, "list");
	json_write_array_begin(&writer);
	json_write_unsigned(&writer, UINT64_MAX);
	json_write_null(&writer);
	json_write_micros(&writer, 1500000);
	json_write_micros(&writer, -1);
	json_write_micros(&writer, 2000000);
	json_write_raw(&writer, "{}", 2);
	json_write_object_begin(&writer);
	json_write_object_end(&writer);
	json_write_array_end(&writer);
	json_write_object_end(&writer);
	assert_true(buffer_ok(&out));
	assert_string_equal(
	        storage, "{\"text\":\"a\\\"b\\\\c\\n\\t\\u0001\x7F\xC3\xA9\xEF\xBF\xBD\","
	                 "\"min\":-9223372036854775808,\"yes\":true,\"list\":[18446744073709551615,"
	                 "null,1.5,-0.000001,2,{},{}]}");
}

/* Text for people: the characters of utf8_is_unsafe() are replaced, and no others. */
static void test_json_safe_text(void **state)
{
	(void)state;
	const struct {
		const char *text;
		size_t length;
		const char *json;
	} rows[] = {
	        {"a\0b\x7F", 4,
	         "a\xEF\xBF\xBD"
	         "b\xEF\xBF\xBD"},
	        {"\xC2\x80\xC2\x9F\xC2\xA0", 6, "\xEF\xBF\xBD\xEF\xBF\xBD\xC2\xA0"},
	        {"\xE2\x80\xA8x\xE2\x80\xA9", 7, "\xEF\xBF\xBDx\xEF\xBF\xBD"},
	        {"\xE2\x80\xAE\xE2\x81\xA6\xD8\x9C", 8, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
	        {"\xE2\x80\x8D\xE2\x81\xA5\xF0\x9F\x98\x80", 10,
	         "\xE2\x80\x8D\xE2\x81\xA5\xF0\x9F\x98\x80"},
	        {"\x1b[1m\t\"", 6, "\\u001b[1m\\t\\\""},
	        {"h\0i\0", 4, "h\xEF\xBF\xBDi\xEF\xBF\xBD"},
	        {"\xFF", 1, "\xEF\xBF\xBD"},
	        {"", 0, ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buffer out;
		struct json_writer writer;
		char storage[128];
		char wanted[128];
		snprintf(wanted, sizeof wanted, "\"%s\"", rows[i].json);
		buffer_init_fixed(&out, storage, sizeof storage);
		json_escape_safe(&out, rows[i].text, rows[i].length);
		assert_string_equal(buffer_text(&out), wanted);
		buffer_clear(&out);
		json_writer_init(&writer, &out);
		writer.safe_text = true;
		json_write_string_n(&writer, rows[i].text, rows[i].length);
		assert_string_equal(buffer_text(&out), wanted);
	}
	/* Values that programs read, such as a patch, are kept. */
	struct buffer out;
	char storage[64];
	buffer_init_fixed(&out, storage, sizeof storage);
	json_escape(&out, "a\0\x7F\xC2\x80\xE2\x80\xAE", 8);
	assert_string_equal(buffer_text(&out), "\"a\\u0000\x7F\xC2\x80\xE2\x80\xAE\"");
}

static void test_json_writer_depth(void **state)
{
	(void)state;
	struct buffer out;
	struct json_writer writer;
	buffer_init(&out, 4096);
	json_writer_init(&writer, &out);
	for (int i = 0; i < 100; i++)
		json_write_array_begin(&writer);
	assert_false(buffer_ok(&out));
	buffer_free(&out);
}

/* date -u -d TEXT +%s.%N */
static void test_timestamps_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t nanoseconds;
	} good[] = {
	        {"1970-01-01T00:00:00Z", 0},
	        {"2026-11-23T18:37:59Z", INT64_C(1795459079000000000)},
	        {"2026-11-23T18:37:59.123456Z", INT64_C(1795459079123456000)},
	        {"2026-11-23t18:37:59.1234567894321z", INT64_C(1795459079123456789)},
	        {"2026-11-23 19:37:59.5+01:00", INT64_C(1795459079500000000)},
	        {"2026-11-23T08:07:59-10:30", INT64_C(1795459079000000000)},
	        {"2000-02-29T00:00:00Z", INT64_C(951782400000000000)},
	        {"2100-03-01T00:00:00Z", INT64_C(4107542400000000000)},
	        {"1969-12-31T23:59:59.25Z", INT64_C(-750000000)},
	        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000000)},
	        {"2262-04-11T23:47:16Z", INT64_C(9223372036000000000)},
	};
	static const char *const bad[] = {"",
	                                  "2026",
	                                  "2026-11-23",
	                                  "2026-11-23T18:37Z",
	                                  "2026-11-23T18:37:59",
	                                  "2026-11-23T18:37:59.Z",
	                                  "2026-11-23T18:37:59Z ",
	                                  "2026-11-31T00:00:00Z",
	                                  "2100-02-29T00:00:00Z",
	                                  "2026-13-01T00:00:00Z",
	                                  "2026-00-01T00:00:00Z",
	                                  "2026-01-00T00:00:00Z",
	                                  "2026-11-23T24:00:00Z",
	                                  "2026-11-23T00:60:00Z",
	                                  "2026-11-23T00:00:61Z",
	                                  "2026-11-23T00:00:00+1:00",
	                                  "2026-11-23T00:00:00+0100",
	                                  "2026-11-23T00:00:00+24:00",
	                                  "2262-04-11T23:47:17Z",
	                                  "9999-12-31T23:59:59Z",
	                                  "0000-01-01T00:00:00Z",
	                                  "-026-11-23T18:37:59Z"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		int64_t time = 1;
		char text[TIMESTAMP_SIZE];
		assert_true(timestamp_parse(good[i].text, &time));
		assert_int_equal(time, good[i].nanoseconds);
		if (time < 0)
			continue;
		timestamp_print(time, text);
		assert_true(timestamp_parse(text, &time));
		assert_int_equal(time, good[i].nanoseconds / 1000 * 1000);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t time = 1;
		if (timestamp_parse(bad[i], &time))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(time, 1);
	}
}

/* Every day that an int64_t of nanoseconds has. */
static void test_timestamps_count_days(void **state)
{
	(void)state;
	for (int64_t day = 0; day < INT64_C(106751); day++) {
		char text[TIMESTAMP_SIZE];
		int64_t time;
		timestamp_print(day * 86400 * SECOND, text);
		assert_true(timestamp_parse(text, &time));
		assert_int_equal(time, day * 86400 * SECOND);
	}
}

/* Every char, against what the C locale says of it. */
static void test_ascii(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		bool ascii = i < 128;
		assert_int_equal(ascii_is_digit(c), ascii && isdigit(i));
		assert_int_equal(ascii_is_letter(c), ascii && isalpha(i));
		assert_int_equal(ascii_is_alnum(c), ascii && isalnum(i));
		assert_int_equal(ascii_is_space(c), ascii && isspace(i));
		assert_int_equal(ascii_to_lower(c), ascii ? (char)tolower(i) : c);
		int value = ascii_hex_value(c);
		assert_int_equal(value >= 0, ascii && isxdigit(i));
		if (value >= 0) {
			char text[] = {c, '\0'};
			assert_int_equal(value, strtol(text, NULL, 16));
		}
	}
}

static void test_nearest(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *nearest;
	} cases[] = {
	        {"rulez", "rules"},
	        {"Rules", "rules"},
	        {"ruels", "rules"},
	        {"sidecars", "sidecar"},
	        {"side", NULL},
	        {"", NULL},
	        {"knownsidecars", "knownSidecars"},
	        {"matchlabels", "matchLabels"},
	        {"x", NULL},
	        {"rules", "rules"},
	        {"a word that is far longer than any key of a configuration could ever be", NULL},
	};
	static const char *const words[] = {"rules", "sidecar", "knownSidecars", "matchLabels",
	                                    "y"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct nearest nearest = {.text = cases[i].text};
		for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
			nearest_offer(&nearest, words[w]);
		if (cases[i].nearest == NULL)
			assert_null(nearest.word);
		else
			assert_string_equal(nearest.word, cases[i].nearest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_error_wraps_in_front),
	        cmocka_unit_test(test_error_is_cut_not_overrun),
	        cmocka_unit_test(test_buffer_grows_to_its_limit),
	        cmocka_unit_test(test_buffer_in_fixed_storage),
	        cmocka_unit_test(test_ascii),
	        cmocka_unit_test(test_utf8),
	        cmocka_unit_test(test_globs_beside_fnmatch),
	        cmocka_unit_test(test_base64_lengths),
	        cmocka_unit_test(test_base64),
	        cmocka_unit_test(test_glob),
	        cmocka_unit_test(test_nearest),
	        cmocka_unit_test(test_duration),
	        cmocka_unit_test(test_timestamps_are_read),
	        cmocka_unit_test(test_timestamps_count_days),
	        cmocka_unit_test(test_kube_version),
	        cmocka_unit_test(test_json_writer),
	        cmocka_unit_test(test_json_safe_text),
	        cmocka_unit_test(test_json_writer_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
