/*
 * shipped_config: manifests/base/config.yaml, as it was when this program was built.
 */
#ifndef LASTWORD_CLI_SHIPPED_CONFIG_H
#define LASTWORD_CLI_SHIPPED_CONFIG_H

extern const char shipped_config[]; /* a string */

#endif
