/*
 * ascii: classes of ASCII characters. Unlike <ctype.h> they take any char, also a negative one, and
 * know no locale. Pure.
 */
#ifndef LASTWORD_LIB_BASE_ASCII_H
#define LASTWORD_LIB_BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool ascii_is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool ascii_is_letter(char c)
{
	return ascii_is_upper(c) || ascii_is_lower(c);
}

static inline bool ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_letter(c);
}

/* Space, \t, \n, \v, \f, \r. */
static inline bool ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline char ascii_to_lower(char c)
{
	return ascii_is_upper(c) ? (char)(c | 0x20) : c;
}

/* How many digits a text begins with. */
static inline size_t ascii_count_digits(const char *text)
{
	size_t count = 0;
	while (ascii_is_digit(text[count]))
		count++;
	return count;
}

/* How many spaces a text begins with. */
static inline size_t ascii_count_spaces(const char *text)
{
	size_t count = 0;
	while (text[count] == ' ')
		count++;
	return count;
}

/* The value of a hexadecimal digit; -1 if it is not one. */
static inline int ascii_hex_value(char c)
{
	char lower = ascii_to_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static inline bool ascii_is_hex(char c)
{
	return ascii_hex_value(c) >= 0;
}

#endif
