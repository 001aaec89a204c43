/*
 * wall_clock: the time of day that the observer compares times of objects with. Pure.
 *
 * A machine's clock may be wrong, and jump when it is set. An observer that believed in a clock
 * which is ahead by an hour would find that every pod starts too slowly and that every failure has
 * lasted for long; one whose clock is behind would wait for an hour. So it goes by the monotonic
 * clock, and by the API server's (the header Date), from which objects have their times:
 *  - The machine's clock is followed while it is within WALL_CLOCK_TOLERANCE of what is expected.
 *    What is further off is a jump and is not followed.
 *  - A Date that is further off than that is right: time is what it says, until the machine's clock
 *    comes near it again.
 * Until the first Date the machine's clock at the start is all that is known.
 */
#ifndef LASTWORD_OBSERVER_BASE_WALL_CLOCK_H
#define LASTWORD_OBSERVER_BASE_WALL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"

#define WALL_CLOCK_TOLERANCE (5 * SECOND)
/* A Date is of the beginning of a response: it counts if the whole took no longer than this. */
#define WALL_CLOCK_RESPONSE_MAX (2 * SECOND)

/* All zero: nothing is known yet. Times are nanoseconds, on the monotonic clock or since 1970. */
struct wall_clock {
	int64_t offset; /* of the time of day from the monotonic clock */
	bool known;
};

/* The time of day now, when the machine's clock says that it is `machine`. */
int64_t wall_clock_read(struct wall_clock *clock, int64_t now, int64_t machine);

/* A response that was requested at sent_at says that it is of that date, in whole seconds;
 * negative: it has none. */
void wall_clock_take_date(struct wall_clock *clock, int64_t now, int64_t sent_at, int64_t date);

#endif
