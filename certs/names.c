#include "certs/names.h"

#include <stdio.h>
#include <string.h>

#include "certs/x509.h"
#include "lib/base/ascii.h"

/* RFC 1123: a label of at most 63, or labels with dots of at most 253. */
static bool is_dns_name(const char *text, bool label)
{
	size_t length = strlen(text);
	size_t in_label = 0;
	if (length == 0 || length > (label ? 63 : X509_NAME_MAX))
		return false;
	for (size_t i = 0; i < length; i++) {
		bool letter = ascii_is_lower(text[i]) || ascii_is_digit(text[i]);
		bool last = i + 1 == length || text[i + 1] == '.';
		if (text[i] == '.' && !label && in_label > 0)
			in_label = 0;
		else if (letter || (text[i] == '-' && in_label > 0 && !last))
			in_label++;
		else
			return false;
	}
	return in_label > 0;
}

static bool check_name(const char *what, const char *name, bool label, struct error *error)
{
	return is_dns_name(name, label) ||
	       error_set(error, "expected a Kubernetes name of the %s, got \"%.100s\"", what, name);
}

bool certificate_names_init(struct certificate_names *names, struct error *error)
{
	static const char *const suffixes[CERTIFICATE_NAMES] = {"", "", ".svc",
	                                                        ".svc.cluster.local"};
	if (!check_name("Service", names->service, true, error) ||
	    !check_name("namespace", names->namespace, true, error) ||
	    !check_name("webhook configuration", names->configuration, false, error) ||
	    !check_name("Secret", names->secret, false, error))
		return false;
	for (size_t i = 0; i < CERTIFICATE_NAMES; i++)
		snprintf(names->dns[i], sizeof names->dns[i], "%s%s%s%s", names->service,
		         i == 0 ? "" : ".", i == 0 ? "" : names->namespace, suffixes[i]);
	return true;
}

void certificate_names_list(const struct certificate_names *names,
                            const char *ret_list[CERTIFICATE_NAMES])
{
	for (size_t i = 0; i < CERTIFICATE_NAMES; i++)
		ret_list[i] = names->dns[i];
}
