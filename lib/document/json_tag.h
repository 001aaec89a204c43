/*
 * json_tag: a few bits that tell most keys apart without a look at their bytes. Equal keys have
 * equal tags. Inline, so that a literal's tag is computed by the compiler. Pure.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_TAG_H
#define LASTWORD_LIB_DOCUMENT_JSON_TAG_H

#include <stddef.h>
#include <stdint.h>

#define JSON_TAG_MAX 0x7FFF

/* From 0 to JSON_TAG_MAX: of the key's length and of three of its bytes, spread by a multiplication
 * (Knuth's constant). */
static inline unsigned json_tag(const char *key, size_t length)
{
	if (length == 0)
		return 0;
	uint32_t bytes = (uint32_t)(unsigned char)key[0] << 16 |
	                 (uint32_t)(unsigned char)key[length / 2] << 8 |
	                 (uint32_t)(unsigned char)key[length - 1];
	return (uint32_t)((bytes + (uint32_t)length * 257) * UINT32_C(2654435769)) >> 17;
}

#endif
