#include "certs/state.h"

#include "lib/base/buffer.h"
#include "lib/base/clock.h"

void certificate_state_init(struct certificate_state *state)
{
	*state = (struct certificate_state){.view = {.signer = -1, .leaf = {.issuer = -1}}};
}

void certificate_state_free(struct certificate_state *state)
{
	if (state == NULL)
		return;
	for (size_t i = 0; i < state->view.ca_count; i++)
		x509_certificate_free(state->cas[i]);
	x509_key_free(state->signer_key);
	x509_certificate_free(state->leaf);
	x509_key_free(state->leaf_key);
	certificate_state_init(state);
}

static int64_t to_nanoseconds(int64_t second)
{
	return second > INT64_MAX / SECOND ? INT64_MAX : second * SECOND;
}

void certificate_validity(const struct certificate *certificate, int64_t *ret_not_before,
                          int64_t *ret_not_after)
{
	int64_t first = 0;
	int64_t last = 0;
	x509_validity(certificate, &first, &last);
	*ret_not_before = to_nanoseconds(first);
	*ret_not_after = to_nanoseconds(last + 1);
}

/* Takes over the certificate. Returns the index of the CA; -1: there is no room. */
static int add_ca(struct certificate_state *state, struct certificate *certificate,
                  const struct rotate_id *id)
{
	struct rotate_view *view = &state->view;
	for (size_t i = 0; i < view->ca_count; i++)
		if (rotate_id_equal(&view->cas[i].id, id)) {
			x509_certificate_free(certificate);
			return (int)i;
		}
	if (view->ca_count == ROTATE_CAS_MAX) {
		x509_certificate_free(certificate);
		return -1;
	}
	size_t index = view->ca_count++;
	struct rotate_ca *ca = &view->cas[index];
	*ca = (struct rotate_ca){.id = *id};
	certificate_validity(certificate, &ca->not_before, &ca->not_after);
	state->cas[index] = certificate;
	return (int)index;
}

bool certificate_state_add_cas(struct certificate_state *state, const struct buffer *pem,
                               bool found[ROTATE_CAS_MAX], bool *ret_clean, struct error *error)
{
	struct certificate *list[ROTATE_CAS_MAX];
	size_t count;
	bool good = true;
	if (!x509_read_certificates(buffer_text(pem), pem->length, list, ROTATE_CAS_MAX, &count,
	                            ret_clean, error))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct rotate_id id = {{0}};
		good = good && x509_id(list[i], id.bytes);
		if (!good) {
			x509_certificate_free(list[i]);
			continue;
		}
		int index = add_ca(state, list[i], &id);
		if (index < 0)
			*ret_clean = false;
		else
			found[index] = true;
	}
	return good || error_set(error, "no memory");
}

bool certificate_state_write_cas(const struct certificate_state *state, const bool *keep,
                                 struct buffer *out)
{
	for (size_t i = 0; i < state->view.ca_count; i++)
		if ((keep == NULL ? state->view.cas[i].in_secret : keep[i]) &&
		    !x509_write_certificate(state->cas[i], out))
			return false;
	return true;
}
