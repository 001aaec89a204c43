#include "lib/base/nearest.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"

#define LETTER 2 /* the distance of one letter; of its case 1 */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t replacing(char a, char b)
{
	if (a == b)
		return 0;
	return ascii_to_lower(a) == ascii_to_lower(b) ? 1 : LETTER;
}

/* Optimal string alignment, by the last three rows of its table. */
static size_t distance_of(const char *a, const char *b)
{
	size_t rows[3][NEAREST_LENGTH_MAX + 1];
	size_t height = strlen(a);
	size_t width = strlen(b);
	if (height > NEAREST_LENGTH_MAX || width > NEAREST_LENGTH_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= width; j++)
		rows[0][j] = j * LETTER;
	for (size_t i = 1; i <= height; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i - 1) % 3];
		const size_t *before = rows[(i + 1) % 3];
		row[0] = i * LETTER;
		for (size_t j = 1; j <= width; j++) {
			row[j] = least(above[j - 1] + replacing(a[i - 1], b[j - 1]),
			               least(above[j], row[j - 1]) + LETTER);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + LETTER);
		}
	}
	return rows[height % 3][width];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	size_t distance = distance_of(nearest->text, word);
	if (distance > strlen(nearest->text) * LETTER / 3 ||
	    (nearest->word != NULL && distance >= nearest->distance))
		return;
	nearest->word = word;
	nearest->distance = distance;
}
