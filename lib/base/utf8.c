#include "lib/base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_sequence(const char *bytes, size_t length)
{
	if (length == 0)
		return 0;
	const unsigned char *b = (const unsigned char *)bytes;
	if (b[0] < 0x80)
		return 1;

	/* RFC 3629 section 4: the second byte's range depends on the first. */
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t needed;
	if (b[0] >= 0xC2 && b[0] <= 0xDF) {
		needed = 2;
	} else if (b[0] >= 0xE0 && b[0] <= 0xEF) {
		needed = 3;
		if (b[0] == 0xE0)
			low = 0xA0;
		else if (b[0] == 0xED)
			high = 0x9F;
	} else if (b[0] >= 0xF0 && b[0] <= 0xF4) {
		needed = 4;
		if (b[0] == 0xF0)
			low = 0x90;
		else if (b[0] == 0xF4)
			high = 0x8F;
	} else {
		return 0;
	}

	if (length < needed || b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < needed; i++)
		if ((b[i] & 0xC0) != 0x80)
			return 0;
	return needed;
}

uint32_t utf8_code_point(const char *bytes, size_t length)
{
	const unsigned char *b = (const unsigned char *)bytes;
	switch (length) {
	case 2:
		return (b[0] & 0x1FU) << 6 | (b[1] & 0x3FU);
	case 3:
		return (b[0] & 0x0FU) << 12 | (b[1] & 0x3FU) << 6 | (b[2] & 0x3FU);
	case 4:
		return (b[0] & 0x07U) << 18 | (b[1] & 0x3FU) << 12 | (b[2] & 0x3FU) << 6 |
		       (b[3] & 0x3FU);
	default:
		return b[0];
	}
}

bool utf8_is_unsafe(uint32_t point)
{
	static const uint16_t ranges[][2] = {{0x00, 0x00},     {0x7f, 0x9f},     {0x61c, 0x61c},
	                                     {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
		if (point >= ranges[i][0] && point <= ranges[i][1])
			return true;
	return false;
}

size_t utf8_valid_prefix(const char *bytes, size_t length)
{
	size_t i = 0;
	while (i < length) {
		uint64_t word;
		if (length - i >= sizeof word) {
			memcpy(&word, bytes + i, sizeof word);
			if ((word & UINT64_C(0x8080808080808080)) == 0) {
				i += sizeof word;
				continue;
			}
		}
		size_t sequence = utf8_sequence(bytes + i, length - i);
		if (sequence == 0)
			return i;
		i += sequence;
	}
	return length;
}
