#include "lib/registry/challenge.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t");
}

static bool is_token_character(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *at)
{
	size_t length = 0;
	while (is_token_character(at[length]))
		length++;
	return length;
}

/* The value at *at, quoted or not; *at moves behind it. What does not fit, or has no closing quote,
 * makes the header one that is not understood. */
static bool read_value(const char **at, char value[CHALLENGE_TEXT_SIZE])
{
	size_t used = 0;
	bool quoted = **at == '"';
	if (quoted)
		(*at)++;
	for (;; (*at)++) {
		char c = **at;
		if (quoted ? c == '"' : !is_token_character(c) && c != '/' && c != ':' && c != '=')
			break;
		if (quoted && c == '\\')
			c = *++(*at);
		if (c == '\0' || used + 1 >= CHALLENGE_TEXT_SIZE)
			return false;
		value[used++] = c;
	}
	if (quoted)
		(*at)++;
	value[used] = '\0';
	return true;
}

static void keep_parameter(struct challenge *challenge, const char *name, size_t length,
                           const char *value)
{
	static const char *const names[] = {"realm", "service", "scope"};
	char *const places[] = {challenge->realm, challenge->service, challenge->scope};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == length && strncasecmp(name, names[i], length) == 0)
			memcpy(places[i], value, strlen(value) + 1);
}

/* The parameters of one challenge; *at is left at the next scheme or the end. */
static bool read_parameters(const char **at, struct challenge *challenge)
{
	for (;;) {
		const char *name = *at = skip_space(*at + strspn(*at, " \t,"));
		size_t length = token_length(name);
		const char *sign = skip_space(name + length);
		char value[CHALLENGE_TEXT_SIZE];
		if (length == 0 || *sign != '=')
			return *name == '\0' || length > 0;
		*at = skip_space(sign + 1);
		if (!read_value(at, value))
			return false;
		keep_parameter(challenge, name, length, value);
	}
}

static bool read_challenge(const char **at, struct challenge *ret_challenge, bool *ret_known)
{
	size_t length = token_length(*at);
	bool bearer = length == strlen("Bearer") && strncasecmp(*at, "Bearer", length) == 0;
	bool basic = length == strlen("Basic") && strncasecmp(*at, "Basic", length) == 0;
	*ret_challenge = (struct challenge){.scheme = bearer ? CHALLENGE_BEARER : CHALLENGE_BASIC};
	*ret_known = bearer || basic;
	*at += length;
	return length > 0 && read_parameters(at, ret_challenge);
}

bool challenge_parse(const char *header, struct challenge *ret_challenge, struct error *error)
{
	const char *at = header == NULL ? "" : skip_space(header);
	while (*at != '\0') {
		struct challenge challenge;
		bool known;
		if (!read_challenge(&at, &challenge, &known))
			break;
		if (!known)
			continue;
		if (challenge.scheme == CHALLENGE_BEARER &&
		    strncmp(challenge.realm, "https://", strlen("https://")) != 0)
			return error_set(
			        error,
			        "the registry names \"%.200s\" for tokens: expected an https URL",
			        challenge.realm);
		*ret_challenge = challenge;
		return true;
	}
	return error_set(error,
	                 "the registry wants another authentication than Basic or Bearer: %.200s",
	                 header == NULL ? "it does not say which" : header);
}
