/*
 * challenge: how a registry wants to be asked, from the WWW-Authenticate header of its 401. Pure.
 *
 *   Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull"
 *   Basic realm="registry"
 *
 * RFC 9110, section 11.6.1, as far as the token authentication of registries uses it
 * (distribution.github.io, "Token Authentication Specification").
 */
#ifndef LASTWORD_LIB_REGISTRY_CHALLENGE_H
#define LASTWORD_LIB_REGISTRY_CHALLENGE_H

#include <stdbool.h>

#include "lib/base/error.h"

#define CHALLENGE_TEXT_SIZE 512

enum challenge_scheme { CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme;
	char realm[CHALLENGE_TEXT_SIZE];   /* of CHALLENGE_BEARER: where the token is given out */
	char service[CHALLENGE_TEXT_SIZE]; /* "": none */
	char scope[CHALLENGE_TEXT_SIZE];   /* "": none */
};

/* The first challenge in the header that is Bearer or Basic; NULL as header: there was none. */
bool challenge_parse(const char *header, struct challenge *ret_challenge, struct error *error);

#endif
