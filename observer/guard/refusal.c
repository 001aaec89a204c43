#include "observer/guard/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/document/quantity.h"
#include "lib/kube/names.h"

#define WORD_SIZE 128

struct own_amounts {
	const struct sidecar_amount *items;
	size_t count;
};

/* ---- Reading ---- */

/* Steps over the text where it stands. */
static bool take(const char **at, const char *text)
{
	size_t length = strlen(text);
	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* Copies up to one of the ends; false: nothing there, or too long. */
static bool take_word(const char **at, const char *ends, char ret_word[WORD_SIZE])
{
	size_t length = strcspn(*at, ends);
	if (length == 0 || length >= WORD_SIZE)
		return false;
	memcpy(ret_word, *at, length);
	ret_word[length] = '\0';
	*at += length;
	return true;
}

static bool is_our_name(const char *name, size_t length)
{
	static const char *const names[] = {NAME_WATCHDOG, NAME_INSTALL};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
			return true;
	return false;
}

/* ---- Quantities ---- */

static bool is_equal(const char *text, const char *own)
{
	struct quantity a;
	struct quantity b;
	return own != NULL && quantity_parse(text, &a, NULL) && quantity_parse(own, &b, NULL) &&
	       quantity_compare(&a, &b) == 0;
}

/* value is above the limit, and value - own is not. */
static bool exceeds_with(const struct quantity *value, const char *own,
                         const struct quantity *limit)
{
	struct quantity rest = *value;
	struct quantity less;
	if (own == NULL || !quantity_parse(own, &less, NULL))
		return false;
	less.negative = true;
	return quantity_compare(value, limit) > 0 && quantity_add(&rest, &less) &&
	       quantity_compare(&rest, limit) <= 0;
}

/* ---- LimitRange ---- */

/* Guaranteed pods have our limits as requests too. */
static bool is_own_value(const struct own_amounts *own, const char *resource, const char *value)
{
	for (size_t i = 0; i < own->count; i++)
		if (strcmp(own->items[i].resource, resource) == 0 &&
		    (is_equal(value, own->items[i].request) ||
		     is_equal(value, own->items[i].limit)))
			return true;
	return false;
}

static bool is_above_with_own(const struct own_amounts *own, const char *resource,
                              const struct quantity *value, const struct quantity *limit)
{
	for (size_t i = 0; i < own->count; i++)
		if (strcmp(own->items[i].resource, resource) == 0 &&
		    (exceeds_with(value, own->items[i].request, limit) ||
		     exceeds_with(value, own->items[i].limit, limit)))
			return true;
	return false;
}

/* "minimum cpu usage per Container is 100m, but request is 25m", or maximum, per Pod. */
static bool take_usage(const char **at, const struct own_amounts *own)
{
	char resource[WORD_SIZE];
	char type[WORD_SIZE];
	char bound[WORD_SIZE];
	char value[WORD_SIZE];
	struct quantity observed;
	struct quantity limit;
	bool minimum = take(at, "minimum ");
	if ((!minimum && !take(at, "maximum ")) || !take_word(at, " ", resource) ||
	    !take(at, " usage per ") || !take_word(at, " ", type) || !take(at, " is ") ||
	    !take_word(at, ", .", bound) || !take(at, ", but ") ||
	    (!take(at, "request") && !take(at, "limit")) || !take(at, " is ") ||
	    !take_word(at, ", ]", value))
		return false;
	if (strcmp(type, "Container") == 0)
		return is_own_value(own, resource, value);
	return !minimum && strcmp(type, "Pod") == 0 && quantity_parse(value, &observed, NULL) &&
	       quantity_parse(bound, &limit, NULL) &&
	       is_above_with_own(own, resource, &observed, &limit);
}

static double number_of(const char *text)
{
	struct quantity quantity;
	double value = 0;
	if (text == NULL || !quantity_parse(text, &quantity, NULL))
		return 0;
	for (uint16_t i = 0; i < quantity.count; i++)
		value = value * 10 + quantity.digits[i];
	for (int64_t i = 0; i < quantity.scale && i < QUANTITY_DIGITS_MAX; i++)
		value *= 10;
	for (int64_t i = 0; i > quantity.scale && i > -QUANTITY_DIGITS_MAX; i--)
		value /= 10;
	return value;
}

static bool is_own_ratio(const struct own_amounts *own, const char *resource, double ratio)
{
	for (size_t i = 0; i < own->count; i++) {
		double request = number_of(own->items[i].request);
		double limit = number_of(own->items[i].limit);
		double distance = request > 0 ? limit / request - ratio : 1;
		if (strcmp(own->items[i].resource, resource) == 0 && distance < 1e-5 &&
		    distance > -1e-5)
			return true;
	}
	return false;
}

/* "cpu max limit to request ratio per Container is 1, but provided ratio is 2.000000" */
static bool take_ratio(const char **at, const struct own_amounts *own)
{
	char resource[WORD_SIZE];
	char bound[WORD_SIZE];
	char value[WORD_SIZE];
	return take_word(at, " ", resource) &&
	       take(at, " max limit to request ratio per Container is ") &&
	       take_word(at, ", ", bound) && take(at, ", but provided ratio is ") &&
	       take_word(at, ", ]", value) && is_own_ratio(own, resource, strtod(value, NULL));
}

/* One complaint, or several in brackets. */
static bool limit_range_is_ours(const char *text, const struct own_amounts *own)
{
	const char *at = text;
	take(&at, "[");
	do {
		bool usage = strncmp(at, "minimum ", 8) == 0 || strncmp(at, "maximum ", 8) == 0;
		if (!(usage ? take_usage(&at, own) : take_ratio(&at, own)))
			return false;
	} while (take(&at, ", "));
	take(&at, "]");
	return *at == '\0';
}

/* ---- Quotas ---- */

/* The value of that key in "key=value,key=value". The list ends at a space. */
static bool find_value(const char *list, const char *key, struct quantity *ret_value)
{
	char name[WORD_SIZE];
	char value[WORD_SIZE];
	for (const char *at = list;
	     take_word(&at, "=, ", name) && take(&at, "=") && take_word(&at, ", ", value);) {
		if (strcmp(name, key) == 0)
			return quantity_parse(value, ret_value, NULL);
		if (!take(&at, ",") || *at == ' ')
			return false;
	}
	return false;
}

/* With ours the quota is exceeded, without it is not. */
static bool key_is_ours(const struct own_amounts *own, const char *key, struct quantity *requested,
                        const char *used, const char *limited)
{
	struct quantity before;
	struct quantity limit;
	const char *resource = key;
	bool limits = take(&resource, "limits.");
	if (!limits)
		take(&resource, "requests.");
	if (!find_value(used, key, &before) || !find_value(limited, key, &limit) ||
	    !quantity_add(requested, &before))
		return false;
	for (size_t i = 0; i < own->count; i++)
		if (strcmp(own->items[i].resource, resource) == 0 &&
		    (exceeds_with(requested, own->items[i].limit, &limit) ||
		     (!limits && exceeds_with(requested, own->items[i].request, &limit))))
			return true;
	return false;
}

/* "exceeded quota: q, requested: limits.cpu=150m,pods=1, used: …, limited: …" */
static bool exceeded_quota_is_ours(const char *text, const struct own_amounts *own)
{
	static const char requested_at[] = ", requested: ";
	const char *requested = strstr(text, requested_at);
	const char *used = requested == NULL ? NULL : strstr(requested, ", used: ");
	const char *limited = used == NULL ? NULL : strstr(used, ", limited: ");
	char key[WORD_SIZE];
	char value[WORD_SIZE];
	if (limited == NULL)
		return false;
	const char *at = requested + sizeof requested_at - 1;
	used += strlen(", used: ");
	limited += strlen(", limited: ");
	do {
		struct quantity amount;
		if (!take_word(&at, "=, ", key) || !take(&at, "=") ||
		    !take_word(&at, ", ", value) || !quantity_parse(value, &amount, NULL) ||
		    !key_is_ours(own, key, &amount, used, limited))
			return false;
	} while (at[0] == ',' && at[1] != ' ' && take(&at, ","));
	return true;
}

/* "failed quota: q: must specify limits.cpu for: lastword-watchdog; limits.memory for: a,b". Older
 * API servers name no containers. */
static bool failed_quota_is_ours(const char *text)
{
	static const char names_at[] = " for: ";
	const char *at = strstr(text, names_at);
	if (at == NULL)
		return false;
	for (; at != NULL; at = strstr(at, names_at)) {
		at += sizeof names_at - 1;
		do {
			size_t length = strcspn(at, ",; ");
			if (!is_our_name(at, length))
				return false;
			at += length;
		} while (take(&at, ","));
	}
	return true;
}

/* ---- Policies ---- */

/* Of PodSecurity's "(containers "a", "b" must set …)": the names, all of which must be ours. True
 * also for what is in parentheses and no such list. */
static bool parenthesis_is_ours(const char *text)
{
	const char *at = text + 1;
	take(&at, "init ");
	if (!take(&at, "container"))
		return true;
	take(&at, "s");
	if (!take(&at, " \""))
		return true;
	do {
		size_t length = strcspn(at, "\"");
		if (!is_our_name(at, length) || at[length] == '\0')
			return false;
		at += length + 1;
	} while (take(&at, ", \""));
	return true;
}

static bool policy_is_ours(const char *text)
{
	if (strstr(text, NAME_WATCHDOG) == NULL && strstr(text, NAME_INSTALL) == NULL)
		return false;
	for (const char *at = strchr(text, '('); at != NULL; at = strchr(at + 1, '('))
		if (!parenthesis_is_ours(at))
			return false;
	return true;
}

/* ---- The message ---- */

bool refusal_is_ours(const char *message, const struct sidecar_amount *amounts, size_t count)
{
	static const char forbidden[] = " is forbidden: ";
	const struct own_amounts own = {.items = amounts, .count = count};
	char text[REFUSAL_MESSAGE_MAX];
	const char *reasons = strstr(message, forbidden);
	if (strlen(message) >= sizeof text)
		return false;
	snprintf(text, sizeof text, "%s",
	         reasons == NULL ? message : reasons + sizeof forbidden - 1);
	if (strncmp(text, "exceeded quota: ", 16) == 0)
		return exceeded_quota_is_ours(text, &own);
	if (strncmp(text, "failed quota: ", 14) == 0)
		return failed_quota_is_ours(text);
	if (strstr(text, " usage per ") != NULL || strstr(text, " ratio per ") != NULL)
		return limit_range_is_ours(text, &own);
	return policy_is_ours(text);
}
