#include "lib/base/timestamp.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/clock.h"

#define DAY 86400

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
	uint64_t seconds = all / SECOND;
	unsigned micros = (unsigned)(all % SECOND / 1000);
	unsigned of_day = (unsigned)(seconds % DAY);
	struct date date = date_of(seconds / DAY);
	/* int64_t ends in 2262: four digits of year always. The remainders tell the compiler. */
	snprintf(ret_text, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", date.year % 10000,
	         date.month % 100, date.day % 100, of_day / 3600 % 24, of_day / 60 % 60,
	         of_day % 60, micros);
}

/* The number of exactly count digits; -1 when there are fewer. Moves *text past them. */
static int take_digits(const char **text, int count)
{
	int number = 0;
	for (int i = 0; i < count; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		number = number * 10 + (**text - '0');
	}
	return number;
}

static bool take(const char **text, const char *one_of)
{
	if (**text == '\0' || strchr(one_of, **text) == NULL)
		return false;
	(*text)++;
	return true;
}

static bool is_date(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (year < 0 || month < 1 || month > 12 || day < 1)
		return false;
	return day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* days_from_civil of the same source. */
static int64_t days_of(int year, int month, int day)
{
	int64_t march_year = year - (month <= 2 ? 1 : 0);
	int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
	int64_t year_of_era = march_year - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

/* ".5" as nanoseconds; -1 without a digit after the point. No point: 0. */
static int64_t take_fraction(const char **text)
{
	int64_t fraction = 0;
	int digits = 0;
	if (!take(text, "."))
		return 0;
	for (; ascii_is_digit(**text); (*text)++)
		if (digits < 9) {
			fraction = fraction * 10 + (**text - '0');
			digits++;
		}
	if (digits == 0)
		return -1;
	for (; digits < 9; digits++)
		fraction *= 10;
	return fraction;
}

/* "Z" or "+hh:mm" up to the end of the text. */
static bool take_offset(const char **text, int64_t *ret_seconds)
{
	bool west = **text == '-';
	*ret_seconds = 0;
	if (take(text, "Zz"))
		return **text == '\0';
	if (!take(text, "+-"))
		return false;
	int hours = take_digits(text, 2);
	bool colon = take(text, ":");
	int minutes = colon ? take_digits(text, 2) : -1;
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || **text != '\0')
		return false;
	*ret_seconds = (west ? -60 : 60) * (INT64_C(60) * hours + minutes);
	return true;
}

bool timestamp_parse(const char *text, int64_t *ret_nanoseconds)
{
	int64_t offset;
	int64_t nanoseconds;
	int year = take_digits(&text, 4);
	int month = year >= 0 && take(&text, "-") ? take_digits(&text, 2) : -1;
	int day = month >= 0 && take(&text, "-") ? take_digits(&text, 2) : -1;
	int hour = day >= 0 && take(&text, "Tt ") ? take_digits(&text, 2) : -1;
	int minute = hour >= 0 && take(&text, ":") ? take_digits(&text, 2) : -1;
	int second = minute >= 0 && take(&text, ":") ? take_digits(&text, 2) : -1;
	int64_t fraction = second >= 0 ? take_fraction(&text) : -1;
	if (fraction < 0 || !take_offset(&text, &offset) || !is_date(year, month, day) ||
	    hour > 23 || minute > 59 || second > 60)
		return false;
	int64_t minutes = days_of(year, month, day) * 1440 + INT64_C(60) * hour + minute;
	int64_t seconds = minutes * 60 + second;
	if (__builtin_mul_overflow(seconds - offset, SECOND, &nanoseconds) ||
	    __builtin_add_overflow(nanoseconds, fraction, &nanoseconds))
		return false;
	*ret_nanoseconds = nanoseconds;
	return true;
}
