/*
 * strings: a list of texts; whose they are says who has the list.
 */
#ifndef LASTWORD_LIB_DOCUMENT_STRINGS_H
#define LASTWORD_LIB_DOCUMENT_STRINGS_H

#include <stddef.h>

struct strings {
	const char **items;
	size_t count;
};

#endif
