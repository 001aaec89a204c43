/*
 * quantity: Kubernetes resource quantities, exactly: "500m", "1.5Gi", "1e3", "+.5".
 *
 * A value is a decimal number, digits × 10^scale, kept digit by digit: no floating point, nothing
 * is lost beyond int64 either. What counts as valid and how it is rounded are as in
 * k8s.io/apimachinery/pkg/api/resource (quantity.go, suffix.go):
 * - suffixes n u m k M G T P E, Ki Mi Gi Ti Pi Ei, exponents e3 and E3; a bare E is exa;
 * - a sign, ".5", "5." and leading zeros are fine; so are the oddities "+", "." and "Ki", all zero;
 * - finer than nano is rounded away from zero; a value with a binary suffix is capped at 2^63 - 1.
 * Only longer texts than QUANTITY_TEXT_MAX are refused here and not there.
 *
 * Pure; values are plain memory.
 */
#ifndef LASTWORD_LIB_DOCUMENT_QUANTITY_H
#define LASTWORD_LIB_DOCUMENT_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"

#define QUANTITY_TEXT_MAX   256
#define QUANTITY_DIGITS_MAX 320

struct quantity {
	bool negative;
	uint16_t count;                      /* of digits; 0 is zero */
	int64_t scale;                       /* value = digits × 10^scale */
	uint8_t digits[QUANTITY_DIGITS_MAX]; /* most significant first; first and last are not 0 */
};

bool quantity_parse(const char *text, struct quantity *ret_quantity, struct error *error);

/* Below, at or above 0 as a is less than, equal to or more than b. */
int quantity_compare(const struct quantity *a, const struct quantity *b);

static inline bool quantity_is_positive(const struct quantity *quantity)
{
	return quantity->count > 0 && !quantity->negative;
}

/* Adds to *sum; false, and no change, when the result has more digits than fit. */
bool quantity_add(struct quantity *sum, const struct quantity *more);

/* The value when it is an integer within int64_t. */
bool quantity_to_integer(const struct quantity *quantity, int64_t *ret_value);

#endif
