#include "observer/base/wall_clock.h"

int64_t wall_clock_read(struct wall_clock *clock, int64_t now, int64_t machine)
{
	if (!clock->known || clock_distance(machine, now + clock->offset) <= WALL_CLOCK_TOLERANCE)
		*clock = (struct wall_clock){.offset = machine - now, .known = true};
	return now + clock->offset;
}

void wall_clock_take_date(struct wall_clock *clock, int64_t now, int64_t sent_at, int64_t date)
{
	if (date < 0 || now - sent_at > WALL_CLOCK_RESPONSE_MAX)
		return;
	date += SECOND / 2; /* it was truncated */
	if (!clock->known || clock_distance(date, now + clock->offset) > WALL_CLOCK_TOLERANCE)
		*clock = (struct wall_clock){.offset = date - now, .known = true};
}
