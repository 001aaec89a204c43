#include "lib/timestamp.h"

#include <stdio.h>

#define NANOSECONDS INT64_C(1000000000)
#define DAY         86400

struct date {
	unsigned year;
	unsigned month;
	unsigned day;
};

/* Days since 1970-01-01 to a date: eras of 400 years that begin in March, after
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
static struct date date_of(uint64_t days)
{
	uint64_t shifted = days + 719468;
	uint64_t era = shifted / 146097;
	uint64_t day_of_era = shifted % 146097;
	uint64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year =
	        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t march_month = (5 * day_of_year + 2) / 153;
	struct date date = {
	        .year = (unsigned)(year_of_era + era * 400),
	        .month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9),
	        .day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1),
	};
	date.year += date.month <= 2;
	return date;
}

void timestamp_print(int64_t nanoseconds, char ret_text[TIMESTAMP_SIZE])
{
	uint64_t all = nanoseconds < 0 ? 0 : (uint64_t)nanoseconds;
	uint64_t seconds = all / NANOSECONDS;
	unsigned micros = (unsigned)(all % NANOSECONDS / 1000);
	unsigned of_day = (unsigned)(seconds % DAY);
	struct date date = date_of(seconds / DAY);
	/* int64_t ends in 2262: four digits of year always. The remainders tell the compiler. */
	snprintf(ret_text, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", date.year % 10000,
	         date.month % 100, date.day % 100, of_day / 3600 % 24, of_day / 60 % 60,
	         of_day % 60, micros);
}
