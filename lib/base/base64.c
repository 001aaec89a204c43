#include "lib/base/base64.h"

#include <endian.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The two digits of each 12 bits: a look-up for two digits makes a review's patch in less than half
 * of the time. */
static char pairs[1 << 12][2];
static pthread_once_t pairs_made = PTHREAD_ONCE_INIT;

static void make_pairs(void)
{
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		pairs[i][0] = alphabet[i >> 6];
		pairs[i][1] = alphabet[i & 63];
	}
}

/* The digits of one group of up to three bytes, as if those that are missing were zero. */
static inline void put_digits(char *text, uint64_t group)
{
	memcpy(text, pairs[group >> 12 & 0xFFF], sizeof *pairs);
	memcpy(text + 2, pairs[group & 0xFFF], sizeof *pairs);
}

void base64_encode(struct buffer *out, const void *bytes, size_t length)
{
	const unsigned char *in = bytes;
	pthread_once(&pairs_made, make_pairs);
	if (length > SIZE_MAX / 2)
		length = SIZE_MAX / 2; /* far beyond any buffer's limit: fails below */
	char *text = buffer_extend(out, (length + 2) / 3 * 4);
	if (text == NULL)
		return;
	/* Eight digits from one load, as long as it stays within the bytes. */
	for (; length >= 8; in += 6, length -= 6, text += 8) {
		uint64_t group;
		memcpy(&group, in, sizeof group);
		group = be64toh(group);
		put_digits(text, group >> 40);
		put_digits(text + 4, group >> 16);
	}
	for (; length >= 3; in += 3, length -= 3, text += 4)
		put_digits(text, (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2]);
	if (length > 0) {
		put_digits(text, (uint32_t)in[0] << 16 | (length > 1 ? (uint32_t)in[1] << 8 : 0));
		text[3] = '=';
		if (length == 1)
			text[2] = '=';
	}
}

static int value_of(char c)
{
	if (ascii_is_upper(c))
		return c - 'A';
	if (ascii_is_lower(c))
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

bool base64_decode(struct buffer *out, const char *text, size_t length)
{
	if (length % 4 != 0)
		return false;
	size_t padding = 0;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < length; i += 4) {
		bool last = i + 4 == length;
		size_t digits = last ? 4 - padding : 4;
		uint32_t group = 0;
		for (size_t j = 0; j < 4; j++) {
			int value = j < digits ? value_of(text[i + j]) : 0;
			if (value < 0)
				return false;
			group = group << 6 | (uint32_t)value;
		}
		if (last && padding > 0 && (group & (padding == 1 ? 0xFF : 0xFFFF)) != 0)
			return false;
		const unsigned char bytes[3] = {(unsigned char)(group >> 16),
		                                (unsigned char)(group >> 8), (unsigned char)group};
		buffer_append(out, bytes, digits - 1);
	}
	return buffer_ok(out);
}
