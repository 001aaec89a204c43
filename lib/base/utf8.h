/*
 * utf8: validity of UTF-8, as RFC 3629 defines it (no overlong forms, no surrogates, at most
 * U+10FFFF). Pure; needs no third-party library.
 */
#ifndef LASTWORD_LIB_BASE_UTF8_H
#define LASTWORD_LIB_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length (1 to 4) of the valid sequence at the start of bytes; 0 when there is none. */
size_t utf8_sequence(const char *bytes, size_t length);

/* The code point of a valid sequence of that length (utf8_sequence). */
uint32_t utf8_code_point(const char *bytes, size_t length);

/*
 * The character may not stand in text for people whose author is not trusted: NUL, which ends a C
 * string; DEL and the C1 controls, which terminals obey; the line and paragraph separators, which
 * some programs take for line ends; the bidirectional controls, which show a text as another one
 * (CVE-2021-42574). The C0 controls but for NUL are not among them: JSON escapes them.
 */
bool utf8_is_unsafe(uint32_t point);

/* Offset of the first byte that is not part of valid UTF-8; length when all is valid. */
size_t utf8_valid_prefix(const char *bytes, size_t length);

#endif
