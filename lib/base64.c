#include "lib/base64.h"

#include <stdint.h>

#include "lib/buffer.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buffer *out, const void *bytes, size_t length)
{
	const unsigned char *in = bytes;
	if (length > SIZE_MAX / 2)
		length = SIZE_MAX / 2; /* far beyond any buffer's limit: fails below */
	char *text = buffer_extend(out, (length + 2) / 3 * 4);
	if (text == NULL)
		return;
	for (size_t i = 0; i < length; i += 3, text += 4) {
		size_t rest = length - i;
		uint32_t group = (uint32_t)in[i] << 16;
		if (rest > 1)
			group |= (uint32_t)in[i + 1] << 8;
		if (rest > 2)
			group |= in[i + 2];
		text[0] = alphabet[group >> 18];
		text[1] = alphabet[group >> 12 & 63];
		text[2] = '=';
		text[3] = '=';
		if (rest > 1)
			text[2] = alphabet[group >> 6 & 63];
		if (rest > 2)
			text[3] = alphabet[group & 63];
	}
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
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
