/*
 * nearest: the word that somebody meant who wrote another, for "did you mean". Pure.
 *
 *	struct nearest nearest = {.text = "rulez"};
 *	nearest_offer(&nearest, "rules");
 *	nearest.word is "rules"
 */
#ifndef LASTWORD_LIB_BASE_NEAREST_H
#define LASTWORD_LIB_BASE_NEAREST_H

#include <stddef.h>

#define NEAREST_LENGTH_MAX 63 /* bytes; a longer word is like no other */

struct nearest {
	const char *text; /* what was written */
	const char *word; /* the nearest of those that were offered; NULL: none is near */
	size_t distance;  /* of it */
};

/* Keeps the word where it is nearer than those before, and no more than a third of the letters
 * differ: added, removed, replaced, or swapped with the next; case counts half. */
void nearest_offer(struct nearest *nearest, const char *word);

#endif
