/*
 * decimal: an integer's digits, without printf's parsing of a format. Inline and pure.
 */
#ifndef LASTWORD_LIB_BASE_DECIMAL_H
#define LASTWORD_LIB_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The longest number with its sign, and a NUL. */
#define DECIMAL_SIZE 22

/* Writes the digits and a NUL to ret_text, of DECIMAL_SIZE bytes; returns their number. */
static inline size_t decimal_print(uint64_t value, char *ret_text)
{
	char digits[DECIMAL_SIZE];
	size_t start = sizeof digits - 1;
	digits[start] = '\0';
	do
		digits[--start] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	size_t length = sizeof digits - 1 - start;
	memcpy(ret_text, digits + start, length + 1);
	return length;
}

/* The same with a minus sign for what is negative. */
static inline size_t decimal_print_signed(int64_t value, char *ret_text)
{
	if (value >= 0)
		return decimal_print((uint64_t)value, ret_text);
	ret_text[0] = '-';
	return 1 + decimal_print(0 - (uint64_t)value, ret_text + 1);
}

#endif
