#include "cli/printed_records.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"

#define PLACES_MIN ((size_t)1024)

struct printed_record {
	bool taken;
	uint64_t name;
	uint64_t content;
};

/* Where the name is, or may go: there is always a free place. */
static struct printed_record *find(struct printed_record *places, size_t place_count, uint64_t name)
{
	size_t i = hash_place(name, place_count);
	while (places[i].taken && places[i].name != name)
		i = (i + 1) % place_count;
	return &places[i];
}

/* At most half of the places are taken. */
static bool make_room(struct printed_records *records)
{
	if (records->count * 2 < records->place_count)
		return true;
	if (records->count >= PRINTED_RECORDS_MAX) {
		memset(records->places, 0, records->place_count * sizeof *records->places);
		records->count = 0;
		return true;
	}
	size_t place_count = records->place_count == 0 ? PLACES_MIN : records->place_count * 2;
	struct printed_record *places = calloc(place_count, sizeof *places);
	if (places == NULL)
		return false;
	for (size_t i = 0; i < records->place_count; i++)
		if (records->places[i].taken)
			*find(places, place_count, records->places[i].name) = records->places[i];
	free(records->places);
	records->places = places;
	records->place_count = place_count;
	return true;
}

bool printed_records_note(struct printed_records *records, uint64_t name, uint64_t content,
                          bool *ret_changed)
{
	if (!make_room(records))
		return false;
	struct printed_record *place = find(records->places, records->place_count, name);
	*ret_changed = !place->taken || place->content != content;
	records->count += !place->taken;
	*place = (struct printed_record){true, name, content};
	return true;
}

void printed_records_free(struct printed_records *records)
{
	free(records->places);
	*records = (struct printed_records){0};
}
