/* Which instruction set the formats' kernels use: the best that the processor has, or the one that
 * the environment variable LEAT_ISA names (tests run every kernel on one machine). Any thread. */
#ifndef LEAT_FORMATS_ISA_H
#define LEAT_FORMATS_ISA_H

#include "core/base.h"

/* In ascending order of what they need. */
enum isa {
    ISA_PORTABLE,
    ISA_NEON,
    ISA_AVX2,   /* with BMI, BMI2 and PCLMULQDQ */
    ISA_AVX512, /* F, BW, VL, DQ, VBMI, VBMI2, with all of AVX2's */
    ISA_COUNT
};

/* Decided at the first call; LEAT_ISA=avx512|avx2|neon|portable wins where the processor has it
 * (else it is ignored). */
enum isa isa_get(void);
/* Whether this processor can run kernels of `isa`. */
bool isa_available(enum isa isa);
/* For tests: from now on isa_get gives `isa`, which must be available. Not while others run. */
void isa_force(enum isa isa);
const char *isa_name(enum isa isa);

#endif
