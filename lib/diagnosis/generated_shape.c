#include "lib/diagnosis/normalise.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"

#define ADDRESS_MAX ((size_t)64)
#define RANDOM_MIN  ((size_t)16)
#define RANDOM_MAX  ((size_t)256)

static size_t digits_at(const char *text, size_t length, size_t most)
{
	size_t n = 0;
	while (n < length && n < most && ascii_is_digit(text[n]))
		n++;
	return n;
}

static size_t hex_at(const char *text, size_t length, size_t most)
{
	size_t n = 0;
	while (n < length && n < most && ascii_is_hex(text[n]))
		n++;
	return n;
}

/* No word goes on at text[at]. */
static bool ends(const char *text, size_t length, size_t at)
{
	return at >= length || (!ascii_is_alnum(text[at]) && text[at] != '_');
}

static size_t uuid(const char *text, size_t length)
{
	static const size_t parts[] = {8, 4, 4, 4, 12};
	size_t at = 0;
	for (size_t i = 0; i < 5; i++) {
		if (i > 0 && (at >= length || text[at++] != '-'))
			return 0;
		if (at > length || hex_at(text + at, length - at, parts[i]) != parts[i])
			return 0;
		at += parts[i];
	}
	return ends(text, length, at) ? at : 0;
}

/* Crockford's base 32: 26 capitals and digits, of a time that begins with 0 to 7. */
static size_t ulid(const char *text, size_t length)
{
	size_t n = 0;
	while (n < length && n <= 26 &&
	       (ascii_is_digit(text[n]) ||
	        (ascii_is_upper(text[n]) && strchr("ILOU", text[n]) == NULL)))
		n++;
	return n == 26 && text[0] >= '0' && text[0] <= '7' && ends(text, length, n) ? n : 0;
}

static size_t ipv4(const char *text, size_t length)
{
	size_t at = 0;
	for (size_t i = 0; i < 4; i++) {
		if (i > 0 && (at >= length || text[at++] != '.'))
			return 0;
		size_t n = digits_at(text + at, length - at, 4);
		if (n == 0 || n > 3)
			return 0;
		at += n;
	}
	return ends(text, length, at) ? at : 0;
}

static size_t mac(const char *text, size_t length)
{
	if (length < 17 || (text[2] != ':' && text[2] != '-'))
		return 0;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != text[2] : !ascii_is_hex(text[i]))
			return 0;
	return ends(text, length, 17) ? 17 : 0;
}

/* Groups of hex digits and at least two colons; a :: or eight groups. A zone may follow. */
static size_t ipv6(const char *text, size_t length)
{
	size_t at = 0;
	size_t colons = 0;
	size_t groups = 0;
	bool gap = false;
	while (at < length && at < ADDRESS_MAX) {
		size_t n = hex_at(text + at, length - at, 5);
		if (n > 4)
			return 0;
		groups += n > 0;
		size_t v4 = n > 0 && n < 4 && groups > 1 ? ipv4(text + at, length - at) : 0;
		if (v4 > 0) {
			at += v4;
			groups++;
			break;
		}
		at += n;
		if (at >= length || text[at] != ':')
			break;
		bool pair = at + 1 < length && text[at + 1] == ':';
		if (!pair && (at + 1 >= length || !ascii_is_hex(text[at + 1])))
			break;
		gap |= pair;
		colons += pair ? 2 : 1;
		at += pair ? 2 : 1;
	}
	if (colons < 2 || (!gap && groups != 8) || groups == 0 || groups > 8)
		return 0;
	if (at < length && text[at] == '%') {
		at++;
		while (at < length && at < ADDRESS_MAX && ascii_is_alnum(text[at]))
			at++;
	}
	return ends(text, length, at) ? at : 0;
}

/* hh:mm:ss, with a fraction and a zone. */
static size_t clock_time(const char *text, size_t length)
{
	size_t at = digits_at(text, length, 3);
	if (at == 0 || at > 2 || length < at + 6 || text[at] != ':' || text[at + 3] != ':' ||
	    digits_at(text + at + 1, 2, 2) != 2 || digits_at(text + at + 4, 2, 2) != 2)
		return 0;
	at += 6;
	if (at + 1 < length && (text[at] == '.' || text[at] == ',') && ascii_is_digit(text[at + 1]))
		at += 1 + digits_at(text + at + 1, length - at - 1, 9);
	if (at < length && (text[at] == 'Z' || text[at] == 'z'))
		return at + 1;
	size_t zone = at < length && text[at] == ' ' ? at + 1 : at;
	if (zone + 4 < length && (text[zone] == '+' || text[zone] == '-')) {
		size_t hours = digits_at(text + zone + 1, length - zone - 1, 4);
		if (hours == 4)
			return zone + 5;
		if (hours == 2 && text[zone + 3] == ':')
			return zone + 4 + digits_at(text + zone + 4, length - zone - 4, 2);
	}
	return at;
}

/* 2026-11-23, 2026/11/23, 23/11/2026, 26/11/23, 23.11.2026, 20261123T140322; a time may follow. */
static size_t date(const char *text, size_t length)
{
	size_t year = digits_at(text, length, 9);
	if (year == 8 && length > 9 && text[8] == 'T' && ascii_is_digit(text[9])) {
		size_t at = 9 + digits_at(text + 9, length - 9, 6);
		return at < length && text[at] == 'Z' ? at + 1 : at;
	}
	if (year == 0 || year > 4 || year == 3 || year + 1 >= length ||
	    strchr("-/.", text[year]) == NULL)
		return 0;
	char joint = text[year];
	size_t at = year + 1;
	size_t month = digits_at(text + at, length - at, 3);
	at += month;
	if (month == 0 || month > 2 || at >= length || text[at] != joint)
		return 0;
	size_t day = digits_at(text + at + 1, length - at - 1, 5);
	at += 1 + day;
	bool whole = (year == 4 && day > 0 && day <= 2) || (year <= 2 && (day == 4 || day == 2));
	if (!whole || (joint == '.' && year != 4 && day != 4))
		return 0;
	if (at + 1 < length && (text[at] == 'T' || text[at] == ' ' || text[at] == '_')) {
		size_t time = clock_time(text + at + 1, length - at - 1);
		at += time > 0 ? 1 + time : 0;
	}
	return ends(text, length, at) ? at : 0;
}

/* Length of a temporary path at text; 0 if it is not one. */
static size_t temporary_path(const char *text, size_t length)
{
	static const char *const starts[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/proc/"};
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		size_t end = strlen(starts[i]);
		if (length < end || memcmp(text, starts[i], end) != 0)
			continue;
		while (end < length && !ascii_is_space(text[end]) &&
		       strchr("'\"`:,;()", text[end]) == NULL)
			end++;
		return end;
	}
	return 0;
}

enum kind { KIND_LOWER, KIND_UPPER, KIND_DIGIT, KIND_JOINT, KINDS };

static enum kind kind_of(char c)
{
	if (ascii_is_lower(c))
		return KIND_LOWER;
	if (ascii_is_upper(c))
		return KIND_UPPER;
	return ascii_is_digit(c) ? KIND_DIGIT : KIND_JOINT;
}

/* Pairs of letters that are common in English words and in names made of them: for each first
 * letter a bit for every second one. Counted over 40,000 words of Python's library and
 * documentation. */
static const uint32_t common_pairs[26] = {
        0x1BEBD6F, 0x1164915, 0x01E5DBD, 0x016493D, 0x1EFF97F, 0x01E4939, 0x0166991,
        0x00A4111, 0x2AEF87F, 0x0000000, 0x0040110, 0x11CC93D, 0x014D913, 0x03CED7D,
        0x07EFD6F, 0x11EC991, 0x0100000, 0x13EFD7D, 0x11FFDBD, 0x11ED9BD, 0x00EB977,
        0x0000111, 0x0026111, 0x0088114, 0x00CA800, 0x0000010,
};

/* Two letters of one word that hardly any word has. */
static bool is_rare_pair(char first, char second)
{
	unsigned one = (unsigned)(ascii_to_lower(first) - 'a');
	unsigned other = (unsigned)(ascii_to_lower(second) - 'a');
	if (one >= 26 || other >= 26 || (ascii_is_lower(first) && ascii_is_upper(second)))
		return false;
	return (common_pairs[one] >> other & 1) == 0;
}

/* What was counted of a word of letters, digits, _ and -. */
struct word_shape {
	size_t length;
	size_t runs;  /* of small letters, of capitals, of digits */
	size_t signs; /* of randomness: rare pairs, digits, letters alone of their kind */
	size_t counts[KINDS];
};

static void read_shape(const char *text, size_t length, struct word_shape *shape)
{
	size_t run = 0;
	enum kind kind = KIND_JOINT;
	for (size_t n = 0;; n++) {
		bool part = n < length && n < RANDOM_MAX &&
		            (ascii_is_alnum(text[n]) || text[n] == '_' || text[n] == '-');
		enum kind next = part ? kind_of(text[n]) : KIND_JOINT;
		if (n > 0 && (!part || next != kind)) {
			bool capitalises = kind == KIND_UPPER && next == KIND_LOWER &&
			                   n + 1 < length && ascii_is_lower(text[n + 1]);
			shape->runs += kind != KIND_JOINT;
			shape->signs += kind == KIND_DIGIT || (kind == KIND_LOWER && run == 1) ||
			                (kind == KIND_UPPER && !capitalises);
			run = 0;
		}
		if (!part) {
			shape->length = n;
			return;
		}
		shape->signs += n > 0 && is_rare_pair(text[n - 1], text[n]);
		shape->counts[next]++;
		kind = next;
		run++;
	}
}

/* A random id of letters, digits, _ and -: no name made of words (getUserName, MAX_RETRIES). */
static size_t random_id(const char *text, size_t length)
{
	struct word_shape shape = {0};
	read_shape(text, length, &shape);
	size_t letters = shape.counts[KIND_LOWER] + shape.counts[KIND_UPPER];
	bool mixed = shape.counts[KIND_LOWER] > 0 && shape.counts[KIND_UPPER] > 0;
	bool plain = shape.counts[KIND_DIGIT] > 0 && letters > 0 && shape.counts[KIND_JOINT] == 0;
	bool random = shape.runs * 3 > shape.length && (plain || (mixed && shape.signs >= 6));
	return shape.length >= RANDOM_MIN && random ? shape.length : 0;
}

/* A random id behind what it is of: toolu_…, msg_…, cus_…. The prefix says nothing of randomness.
 */
static size_t prefixed_id(const char *text, size_t length)
{
	size_t prefix = 0;
	while (prefix < length && prefix <= 10 && ascii_is_lower(text[prefix]))
		prefix++;
	if (prefix < 2 || prefix > 10 || prefix + RANDOM_MIN >= length || text[prefix++] != '_')
		return 0;
	struct word_shape shape = {0};
	read_shape(text + prefix, length - prefix, &shape);
	bool random = shape.counts[KIND_JOINT] == 0 && shape.counts[KIND_DIGIT] > 0 &&
	              shape.runs * 7 > shape.length * 2;
	return shape.length >= RANDOM_MIN && random ? prefix + shape.length : 0;
}

size_t generated_shape(const char *text, size_t length, size_t at)
{
	char before = at > 0 ? text[-1] : ' ';
	size_t n = 0;
	if (text[0] == '/')
		return temporary_path(text, length);
	if (text[0] == ':' && !ascii_is_alnum(before) && length > 2 && text[1] == ':')
		return ipv6(text, length);
	if (ascii_is_alnum(before))
		return 0;
	if (ascii_is_hex(text[0])) {
		n = uuid(text, length);
		n = n > 0 ? n : mac(text, length);
		n = n > 0 ? n : ipv6(text, length);
	}
	if (n == 0 && ascii_is_digit(text[0])) {
		n = ipv4(text, length);
		n = n > 0 ? n : date(text, length);
		n = n > 0 ? n : clock_time(text, length);
		n = n > 0 ? n : ulid(text, length);
	}
	bool may_begin = ascii_is_alnum(text[0]) || text[0] == '_' || text[0] == '-';
	if (n > 0 || !may_begin)
		return n;
	n = random_id(text, length);
	return n > 0 ? n : prefixed_id(text, length);
}
