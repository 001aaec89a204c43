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

/* The digits of one group of three bytes. */
static inline void put_digits(char *text, uint64_t group)
{
	memcpy(text, pairs[group >> 12 & 0xFFF], sizeof *pairs);
	memcpy(text + 2, pairs[group & 0xFFF], sizeof *pairs);
}

static inline uint32_t read_group(const unsigned char *in)
{
	return (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
}

/* The last group, of one or two bytes. */
static void put_rest(char *text, const unsigned char *in, size_t length)
{
	const unsigned char group[3] = {in[0], length > 1 ? in[1] : 0, 0};
	put_digits(text, read_group(group));
	text[3] = '=';
	if (length == 1)
		text[2] = '=';
}

/* From the last group to the first: the digits, which are more than the bytes, then stay behind the
 * bytes that are still to be read. */
void base64_encode_from(struct buffer *buffer, size_t start)
{
	size_t length = buffer->length - start;
	size_t groups = length / 3;
	pthread_once(&pairs_made, make_pairs);
	if (!buffer_ok(buffer) || buffer_extend(buffer, (length + 2) / 3 * 4 - length) == NULL)
		return;
	char *text = buffer->data + start;
	const unsigned char *in = (const unsigned char *)text;
	if (length % 3 != 0)
		put_rest(text + 4 * groups, in + 3 * groups, length % 3);
	for (; groups >= 3; groups -= 2) { /* two from one load, which has two bytes more */
		uint64_t two;
		memcpy(&two, in + 3 * groups - sizeof two, sizeof two);
		two = be64toh(two);
		put_digits(text + 4 * groups - 4, two);
		put_digits(text + 4 * groups - 8, two >> 24);
	}
	for (; groups > 0; groups--)
		put_digits(text + 4 * groups - 4, read_group(in + 3 * groups - 3));
}

void base64_encode(struct buffer *out, const void *bytes, size_t length)
{
	size_t start = out->length;
	buffer_append(out, bytes, length);
	base64_encode_from(out, start);
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
