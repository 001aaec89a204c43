/*
 * word: texts eight bytes at a time, the first byte lowest. With one test of all of a word's bytes
 * (Warren, Hacker's Delight, 6-1) the lowest bit that is set tells the first byte that is meant.
 * Pure.
 */
#ifndef LASTWORD_LIB_BASE_WORD_H
#define LASTWORD_LIB_BASE_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

#define WORD_SIZE sizeof(uint64_t)

/* A word of that byte. */
#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The place in the word of the lowest bit that is set; bits is not 0. */
static inline size_t word_first_byte(uint64_t bits)
{
	return (size_t)__builtin_ctzll(bits) >> 3;
}

/* A bit at the top of each byte that cannot stand in a JSON string as it is, or is not ASCII: a
 * quote, a backslash, below 0x20, above 0x7f. Others above the lowest of them may have it, too. */
static inline uint64_t word_string_specials(uint64_t word)
{
	return (((word ^ WORD_OF('"')) - WORD_OF(1)) | ((word ^ WORD_OF('\\')) - WORD_OF(1)) |
	        (word - WORD_OF(0x20)) | word) &
	       WORD_OF(0x80);
}

static inline uint64_t word_load_whole(const char *text)
{
	uint64_t word;
	memcpy(&word, text, WORD_SIZE);
	return word;
}

/* The first bytes of the text, zeros behind its last one. */
static inline uint64_t word_load(const char *text, size_t length)
{
	uint64_t word = 0;
	if (length >= WORD_SIZE) {
		word = word_load_whole(text);
	} else if (length >= WORD_SIZE / 2) { /* two halves that overlap */
		uint32_t low;
		uint32_t high;
		memcpy(&low, text, sizeof low);
		memcpy(&high, text + length - sizeof high, sizeof high);
		word = low | (uint64_t)high << 8 * (length - sizeof high);
	} else {
		for (size_t i = 0; i < length; i++)
			word |= (uint64_t)(unsigned char)text[i] << 8 * i;
	}
	return word;
}

#endif
