/*
 * kubernetes: questions to the API server of the cluster that the program runs in.
 *
 * Address and credentials are where Kubernetes puts them in a pod: KUBERNETES_SERVICE_HOST and
 * _PORT, and the service account's ca.crt and token. The token is read for each question, since it
 * rotates.
 */
#ifndef LASTWORD_LIB_KUBERNETES_H
#define LASTWORD_LIB_KUBERNETES_H

#include <stdbool.h>

#include "lib/error.h"

#define KUBERNETES_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* The environment names an API server. */
bool kubernetes_in_cluster(void);

/* GET /version: the minor number of 1.minor. account: the folder with ca.crt and token. Blocks for
 * a few seconds at most. */
bool kubernetes_server_minor(const char *account, unsigned *ret_minor, struct error *error);

#endif
