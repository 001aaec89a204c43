#include "lib/document/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"

#define SCALE_NANO (-9)
/* Digits of value and exponent up to which apimachinery takes its fast way, which is more lenient
 * with texts that have no digits. */
#define FAST_DIGITS 18

static const struct suffix {
	const char *text;
	int base;
	int exponent;
} suffixes[] = {
        {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},
        {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
        {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};
#define SUFFIX_COUNT (sizeof suffixes / sizeof suffixes[0])

/* ---- Digits ---- */

/* First and last digit not 0; zero has none, and no sign. */
static void normalize(struct quantity *quantity)
{
	size_t leading = 0;
	while (leading < quantity->count && quantity->digits[leading] == 0)
		leading++;
	if (leading > 0) {
		quantity->count = (uint16_t)(quantity->count - leading);
		memmove(quantity->digits, quantity->digits + leading, quantity->count);
	}
	while (quantity->count > 0 && quantity->digits[quantity->count - 1] == 0) {
		quantity->count--;
		quantity->scale++;
	}
	if (quantity->count == 0) {
		quantity->negative = false;
		quantity->scale = 0;
	}
}

/* The position of the first digit: value is below 10^magnitude. */
static int64_t magnitude(const struct quantity *quantity)
{
	return quantity->scale + quantity->count;
}

static int compare_magnitudes(const struct quantity *a, const struct quantity *b)
{
	if (a->count == 0 || b->count == 0)
		return (a->count > 0) - (b->count > 0);
	if (magnitude(a) != magnitude(b))
		return magnitude(a) < magnitude(b) ? -1 : 1;
	size_t common = a->count < b->count ? a->count : b->count;
	int difference = memcmp(a->digits, b->digits, common);
	return difference != 0 ? difference : (a->count > b->count) - (a->count < b->count);
}

/* The digit that counts 10^position. */
static unsigned digit_at(const struct quantity *quantity, int64_t position)
{
	int64_t index = quantity->count - 1 - (position - quantity->scale);
	return index < 0 || index >= quantity->count ? 0 : quantity->digits[index];
}

/* |a| + |b|, or |a| - |b| for |a| >= |b|; into *ret_result, whose sign is kept. */
static bool combine(const struct quantity *a, const struct quantity *b, bool subtract,
                    struct quantity *ret_result)
{
	int64_t low = a->scale < b->scale ? a->scale : b->scale;
	int64_t high = magnitude(a) > magnitude(b) ? magnitude(a) : magnitude(b);
	if (high - low >= QUANTITY_DIGITS_MAX)
		return false;

	size_t count = (size_t)(high - low) + 1; /* one more for the carry */
	int carry = 0;
	for (size_t i = 0; i < count; i++) {
		int64_t position = low + (int64_t)i;
		int second = (int)digit_at(b, position);
		int digit = (int)digit_at(a, position) + (subtract ? -second : second) + carry;
		carry = digit < 0 ? -1 : digit / 10;
		ret_result->digits[count - 1 - i] = (uint8_t)((digit + 10) % 10);
	}
	ret_result->count = (uint16_t)count;
	ret_result->scale = low;
	normalize(ret_result);
	return true;
}

/* |quantity| := |quantity| × 1024^times, digit by digit; false: too many digits. */
static bool multiply_by_1024(struct quantity *quantity, int times)
{
	enum { EXTRA_DIGITS = 4 }; /* that a factor of 1024 may add */
	for (int i = 0; i < times; i++) {
		if (quantity->count + EXTRA_DIGITS > QUANTITY_DIGITS_MAX)
			return false;
		unsigned carry = 0;
		size_t count = quantity->count;
		memmove(quantity->digits + EXTRA_DIGITS, quantity->digits, count);
		for (size_t at = count + EXTRA_DIGITS; at-- > 0;) {
			unsigned digit = at < EXTRA_DIGITS ? 0 : quantity->digits[at];
			carry += digit * 1024;
			quantity->digits[at] = (uint8_t)(carry % 10);
			carry /= 10;
		}
		quantity->count = (uint16_t)(count + EXTRA_DIGITS);
		normalize(quantity);
	}
	return true;
}

static void round_away_from_zero(struct quantity *quantity, int64_t scale)
{
	if (quantity->count == 0 || quantity->scale >= scale)
		return;
	struct quantity one = {.count = 1, .scale = scale, .digits = {1}};
	if (magnitude(quantity) <= scale) {
		one.negative = quantity->negative;
		*quantity = one;
		return;
	}
	/* Cut at scale; something that is not 0 was cut off, so add one there. */
	quantity->count = (uint16_t)(magnitude(quantity) - scale);
	quantity->scale = scale;
	struct quantity cut = *quantity;
	normalize(&cut);
	combine(&cut, &one, false, quantity);
}

/* ---- Parsing ---- */

struct parts {
	const char *integer; /* digits before the point, leading zeros stripped */
	size_t integer_length;
	const char *fraction;
	size_t fraction_length;
	bool has_number; /* any digit or zero at all */
	const char *suffix;
};

static size_t digits_length(const char *text)
{
	return strspn(text, "0123456789");
}

/* Sign, number, suffix, as apimachinery's parseQuantityString() splits them. */
static bool split(const char *text, bool *ret_negative, struct parts *ret_parts)
{
	*ret_negative = *text == '-';
	if (*text == '-' || *text == '+')
		text++;
	const char *start = text;
	text += strspn(text, "0");
	struct parts parts = {.integer = text, .integer_length = digits_length(text)};
	text += parts.integer_length;
	bool digits = text > start;
	if (*text == '.') {
		text++;
		parts.fraction = text;
		parts.fraction_length = digits_length(text);
		text += parts.fraction_length;
	}
	parts.has_number = digits || parts.fraction_length > 0 || *text == '\0';
	parts.suffix = text;
	text += strspn(text, "eEinumkKMGTP");
	if (*text == '-' || *text == '+')
		text++;
	text += digits_length(text);
	*ret_parts = parts;
	return *text == '\0';
}

static bool interpret_suffix(const char *text, int *ret_base, int32_t *ret_exponent)
{
	for (size_t i = 0; i < SUFFIX_COUNT; i++) {
		if (strcmp(suffixes[i].text, text) != 0)
			continue;
		*ret_base = suffixes[i].base;
		*ret_exponent = suffixes[i].exponent;
		return true;
	}
	if (text[0] != 'e' && text[0] != 'E')
		return false;
	const char *digits = text + 1;
	if (*digits == '+' || *digits == '-')
		digits++;
	if (digits_length(digits) == 0 || digits[digits_length(digits)] != '\0')
		return false;
	errno = 0;
	long long exponent = strtoll(text + 1, NULL, 10);
	if (errno != 0)
		return false;
	*ret_base = 10;
	*ret_exponent = (int32_t)(uint32_t)(unsigned long long)exponent; /* wraps there too */
	return true;
}

static void take_digits(struct quantity *quantity, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		quantity->digits[quantity->count++] = (uint8_t)(text[i] - '0');
}

/* The slow way of apimachinery wants a digit; the fast one takes none for zero. */
static bool takes_no_digits(const struct parts *parts, int base, int32_t exponent)
{
	if (base == 10)
		return exponent >= SCALE_NANO;
	return FAST_DIGITS - 3 - 1 - exponent * 3 / 10 - 1 >= 0 && parts->fraction_length == 0;
}

static bool read_quantity(const char *text, struct quantity *ret_quantity)
{
	struct parts parts;
	int base;
	int32_t exponent;
	struct quantity quantity = {.count = 0};
	if (text[0] == '\0' || !split(text, &quantity.negative, &parts) ||
	    !interpret_suffix(parts.suffix, &base, &exponent))
		return false;
	if (!parts.has_number && !takes_no_digits(&parts, base, exponent))
		return false;

	take_digits(&quantity, parts.integer, parts.integer_length);
	take_digits(&quantity, parts.fraction, parts.fraction_length);
	quantity.scale = -(int64_t)parts.fraction_length;
	normalize(&quantity);
	if (quantity.count == 0) {
		*ret_quantity = quantity;
		return true;
	}
	if (base == 10)
		quantity.scale += exponent;
	else if (!multiply_by_1024(&quantity, exponent / 10))
		return false;
	round_away_from_zero(&quantity, SCALE_NANO);

	struct quantity most = {.negative = quantity.negative};
	take_digits(&most, "9223372036854775807", 19);
	if (base == 2 && compare_magnitudes(&quantity, &most) > 0)
		quantity = most;
	*ret_quantity = quantity;
	return true;
}

bool quantity_parse(const char *text, struct quantity *ret_quantity, struct error *error)
{
	if (strlen(text) > QUANTITY_TEXT_MAX)
		return error_set(error, "expected a quantity of at most %d characters, got %zu",
		                 QUANTITY_TEXT_MAX, strlen(text));
	if (!read_quantity(text, ret_quantity))
		return error_set(error,
		                 "expected a quantity such as 500m, 1.5Gi or 1e3, got \"%.100s\"",
		                 text);
	return true;
}

/* ---- Comparing and adding ---- */

int quantity_compare(const struct quantity *a, const struct quantity *b)
{
	if (a->negative != b->negative)
		return a->negative ? -1 : 1;
	int difference = compare_magnitudes(a, b);
	return a->negative ? -difference : difference;
}

bool quantity_add(struct quantity *sum, const struct quantity *more)
{
	if (more->count == 0)
		return true;
	if (sum->count == 0) {
		*sum = *more;
		return true;
	}
	bool subtract = sum->negative != more->negative;
	bool swap = subtract && compare_magnitudes(sum, more) < 0;
	const struct quantity first = swap ? *more : *sum;
	const struct quantity second = swap ? *sum : *more;
	struct quantity result = {.negative = first.negative};
	if (!combine(&first, &second, subtract, &result))
		return false;
	*sum = result;
	return true;
}

bool quantity_to_integer(const struct quantity *quantity, int64_t *ret_value)
{
	if (quantity->scale < 0 || magnitude(quantity) > 19)
		return false;
	uint64_t value = 0;
	for (int64_t position = magnitude(quantity) - 1; position >= 0; position--)
		value = value * 10 + digit_at(quantity, position); /* 19 digits fit */
	if (value > (uint64_t)INT64_MAX + quantity->negative)
		return false;
	*ret_value = quantity->negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}
