#include "cli/shipped_config.h"

/* The assembler reads the file, so nothing is generated and nothing can be out of date. It ends
 * with a NUL. */
__asm__(".pushsection .rodata\n"
        ".global shipped_config\n"
        "shipped_config:\n"
        ".incbin \"manifests/base/config.yaml\"\n"
        ".byte 0\n"
        ".popsection\n");
