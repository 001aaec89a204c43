#include "lib/registry/digest.h"

#include <openssl/evp.h>
#include <stdio.h>

bool image_digest(const void *bytes, size_t length, char ret_digest[REFERENCE_DIGEST_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	if (EVP_Digest(bytes, length, hash, &size, EVP_sha256(), NULL) != 1 || size != 32)
		return false;
	int used = snprintf(ret_digest, REFERENCE_DIGEST_SIZE, "sha256:");
	for (unsigned i = 0; i < size; i++)
		used += snprintf(ret_digest + used, REFERENCE_DIGEST_SIZE - (size_t)used, "%02x",
		                 hash[i]);
	return true;
}
