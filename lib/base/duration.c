#include "lib/base/duration.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/decimal.h"

static const struct unit {
	const char *name;
	uint64_t nanoseconds;
} units[] = {
        {"ns", 1},           {"us", 1000},  {"\xC2\xB5s", 1000}, /* U+00B5, micro sign */
        {"\xCE\xBCs", 1000},                                     /* U+03BC, Greek mu */
        {"ms", MILLISECOND}, {"s", SECOND}, {"m", 60 * SECOND},  {"h", 3600 * SECOND},
};

/* The magnitude may be one more than INT64_MAX: the smallest negative duration. */
#define MAGNITUDE_MAX (UINT64_C(1) << 63)

static const struct unit *find_unit(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strlen(units[i].name) == length && memcmp(units[i].name, text, length) == 0)
			return &units[i];
	return NULL;
}

/* Digits up to the largest magnitude; false when there are more. */
static bool read_integer(const char **text, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (; ascii_is_digit(**text); (*text)++) {
		if (value > (MAGNITUDE_MAX - (uint64_t)(**text - '0')) / 10)
			return false;
		value = value * 10 + (uint64_t)(**text - '0');
	}
	*ret_value = value;
	return true;
}

/* Digits of a fraction: value / scale. Those beyond what 64 bits hold are dropped, as Go does. */
static void read_fraction(const char **text, uint64_t *ret_value, uint64_t *ret_scale)
{
	uint64_t value = 0;
	uint64_t scale = 1;
	bool full = false;
	for (; ascii_is_digit(**text); (*text)++) {
		if (full || value > (MAGNITUDE_MAX - 9) / 10 || scale > MAGNITUDE_MAX / 10) {
			full = true;
			continue;
		}
		value = value * 10 + (uint64_t)(**text - '0');
		scale *= 10;
	}
	*ret_value = value;
	*ret_scale = scale;
}

/* One number with its unit; adds to *total. */
static bool read_part(const char **text, uint64_t *total)
{
	uint64_t integer;
	uint64_t fraction = 0;
	uint64_t scale = 1;
	const char *start = *text;
	if (!read_integer(text, &integer))
		return false;
	size_t digits = (size_t)(*text - start);
	if (**text == '.') {
		(*text)++;
		start = *text;
		read_fraction(text, &fraction, &scale);
		digits += (size_t)(*text - start);
	}
	size_t length = strcspn(*text, ".0123456789");
	const struct unit *unit = find_unit(*text, length);
	if (digits == 0 || unit == NULL || integer > MAGNITUDE_MAX / unit->nanoseconds)
		return false;
	*text += length;

	__extension__ typedef unsigned __int128 wide;
	wide sum = (wide)integer * unit->nanoseconds + (wide)fraction * unit->nanoseconds / scale +
	           *total;
	if (sum > MAGNITUDE_MAX)
		return false;
	*total = (uint64_t)sum;
	return true;
}

bool duration_parse(const char *text, int64_t *ret_nanoseconds, struct error *error)
{
	const char *rest = text;
	bool negative = *rest == '-';
	if (*rest == '-' || *rest == '+')
		rest++;
	uint64_t total = 0;
	bool valid = *rest != '\0';
	if (strcmp(rest, "0") == 0)
		rest++;
	while (valid && *rest != '\0')
		valid = read_part(&rest, &total);
	if (!valid || total > MAGNITUDE_MAX - !negative)
		return error_set(error,
		                 "expected a duration such as 30m or 1h30m, within 292 years, got "
		                 "\"%.100s\"",
		                 text);
	*ret_nanoseconds = negative ? (int64_t)(0 - total) : (int64_t)total;
	return true;
}

static void append_decimal(struct buffer *out, uint64_t value)
{
	char text[DECIMAL_SIZE];
	buffer_append(out, text, decimal_print(value, text));
}

/* value / 10^places without trailing zeros: 1500 with 3 places is "1.5". */
static void print_decimal(struct buffer *out, uint64_t value, uint64_t scale, int places)
{
	append_decimal(out, value / scale);
	if (value % scale == 0)
		return;
	buffer_printf(out, ".%0*" PRIu64, places, value % scale);
	while (buffer_ok(out) && out->data[out->length - 1] == '0')
		buffer_truncate(out, out->length - 1);
}

void duration_print(struct buffer *out, int64_t nanoseconds)
{
	const uint64_t second = SECOND;
	uint64_t magnitude = nanoseconds < 0 ? 0 - (uint64_t)nanoseconds : (uint64_t)nanoseconds;
	if (nanoseconds < 0)
		buffer_append_char(out, '-');
	if (magnitude == 0) {
		buffer_append_text(out, "0s");
	} else if (magnitude < 1000) {
		append_decimal(out, magnitude);
		buffer_append_text(out, "ns");
	} else if (magnitude < 1000000) {
		print_decimal(out, magnitude, 1000, 3);
		buffer_append_text(out, "\xC2\xB5s");
	} else if (magnitude < second) {
		print_decimal(out, magnitude, 1000000, 6);
		buffer_append_text(out, "ms");
	} else {
		uint64_t minutes = magnitude / (60 * second);
		if (minutes >= 60) {
			append_decimal(out, minutes / 60);
			buffer_append_char(out, 'h');
		}
		if (minutes > 0) {
			append_decimal(out, minutes % 60);
			buffer_append_char(out, 'm');
		}
		print_decimal(out, magnitude % (60 * second), second, 9);
		buffer_append_char(out, 's');
	}
}
