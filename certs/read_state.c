#include "certs/read_state.h"

#include <string.h>

#include "certs/ca_bundles.h"
#include "certs/secret.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)

/* ---- Which CA issued the leaf, and which one can issue the next ---- */

/* Verifies at a moment when both were valid; whether they are valid now is for rotate to judge. */
static enum x509_result is_issued_by(const struct certificate_state *state, size_t index)
{
	const struct rotate_ca *ca = &state->view.cas[index];
	int64_t moment = state->view.leaf.not_before > ca->not_before ? state->view.leaf.not_before
	                                                              : ca->not_before;
	if (!x509_is_ca(state->cas[index]))
		return X509_NO;
	return x509_verify(state->leaf, state->cas[index], moment / SECOND, NULL);
}

static bool find_issuer(struct certificate_state *state, struct error *error)
{
	state->view.leaf.issuer = -1;
	for (size_t i = 0; state->leaf != NULL && i < state->view.ca_count; i++) {
		enum x509_result result = is_issued_by(state, i);
		if (result == X509_NO_MEMORY)
			return error_set(error, "no memory");
		if (result == X509_YES) {
			state->view.leaf.issuer = (int)i;
			break;
		}
	}
	return true;
}

/* Signs a trial leaf and verifies it: a CA that somebody else made may have constraints (names,
 * path length, key usage) under which no client accepts what it signs. */
static enum x509_result can_sign(const struct certificate_state *state, size_t index,
                                 const struct certificate_names *names, int64_t now,
                                 const unsigned char serial[X509_SERIAL_SIZE])
{
	struct certificate *_cleanup_certificate_ leaf = NULL;
	struct private_key *_cleanup_key_ key = NULL;
	const char *list[CERTIFICATE_NAMES];
	certificate_names_list(names, list);
	const struct rotate_ca *ca = &state->view.cas[index];
	int64_t moment = now;
	if (moment < ca->not_before)
		moment = ca->not_before;
	/* OpenSSL takes the last second of validity as expired. */
	if (moment > ca->not_after - 2 * SECOND)
		moment = ca->not_after - 2 * SECOND;
	struct x509_profile profile = {.common_name = names->service,
	                               .names = list,
	                               .name_count = CERTIFICATE_NAMES,
	                               .not_before = moment / SECOND,
	                               .not_after = moment / SECOND + 60};
	memcpy(profile.serial, serial, sizeof profile.serial);
	if (!x509_make_leaf(&profile, state->cas[index], state->signer_key, &leaf, &key, NULL))
		return X509_NO_MEMORY;
	return x509_verify(leaf, state->cas[index], moment / SECOND, NULL);
}

/* Is this CA a better signer than the one found so far? One of ca.crt is, then the one that is
 * valid for longer. */
static bool is_preferred(const struct rotate_view *view, size_t index)
{
	const struct rotate_ca *candidate = &view->cas[index];
	if (view->signer < 0)
		return true;
	const struct rotate_ca *signer = &view->cas[view->signer];
	if (candidate->in_secret != signer->in_secret)
		return candidate->in_secret;
	return candidate->not_after > signer->not_after;
}

static bool find_signer(struct certificate_state *state, const struct certificate_names *names,
                        int64_t now, const unsigned char serial[X509_SERIAL_SIZE],
                        struct error *error)
{
	struct rotate_view *view = &state->view;
	view->signer = -1;
	for (size_t i = 0; state->signer_key != NULL && i < view->ca_count; i++) {
		if (!is_preferred(view, i) || !x509_is_ca(state->cas[i]))
			continue;
		enum x509_result result = x509_key_matches(state->cas[i], state->signer_key);
		if (result == X509_YES && view->leaf.issuer != (int)i)
			result = can_sign(state, i, names, now, serial);
		if (result == X509_NO_MEMORY)
			return error_set(error, "no memory");
		if (result == X509_YES)
			view->signer = (int)i;
	}
	return true;
}

bool certificate_state_read(const struct api_object *secret, const struct api_object *configuration,
                            const struct certificate_names *names, int64_t now,
                            const unsigned char serial[X509_SERIAL_SIZE],
                            struct certificate_state *ret_state, struct error *error)
{
	struct arena *_cleanup_arena_ arena = arena_new_secret(ARENA_MAX);
	struct buffer _cleanup_buffer_ scratch;
	struct certificate_state state;
	certificate_state_init(&state);
	certificate_state_init(ret_state);
	buffer_init_secret(&scratch, PEM_MAX);
	if (arena == NULL)
		return error_set(error, "no memory");
	if (!secret_read(&state, arena, secret, names, &scratch, error) ||
	    !ca_bundles_read(&state, arena, configuration, &scratch, error) ||
	    !find_issuer(&state, error) || !find_signer(&state, names, now, serial, error)) {
		certificate_state_free(&state);
		return false;
	}
	*ret_state = state;
	return true;
}
