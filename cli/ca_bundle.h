/*
 * ca_bundle: whether a caBundle has the CA certificates that a Secret has. Pure.
 */
#ifndef LASTWORD_CLI_CA_BUNDLE_H
#define LASTWORD_CLI_CA_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

struct ca_match {
	size_t count; /* certificates of the Secret */
	size_t found; /* how many of them are in the bundle */
};

/* Both are PEM in base64, as the API has them. Certificates are compared as the text between their
 * PEM lines, without white space. False: one of them is no base64, or there is no memory. */
bool ca_bundle_compare(const char *bundle, const char *secret, struct ca_match *ret_match);

#endif
