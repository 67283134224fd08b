/* The choice of an instruction set: see isa.h. Holds one static that is written once (or by a
 * test), always with the same value, so a relaxed atomic is enough. */
#include "formats/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ISA_COUNT] = {"portable", "neon", "avx2", "avx512"};
static _Atomic int chosen = -1;

#if defined(__x86_64__)
static bool avx2_available(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("pclmul");
}

static bool avx512_available(void)
{
    return avx2_available() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2");
}
#endif

bool isa_available(enum isa isa)
{
    switch (isa) {
    case ISA_PORTABLE:
        return true;
#if defined(__x86_64__)
    case ISA_AVX2:
        return avx2_available();
    case ISA_AVX512:
        return avx512_available();
#elif defined(__aarch64__)
    case ISA_NEON:
        return true;
#endif
    default:
        return false;
    }
}

static enum isa isa_choose(void)
{
    const char *wanted = getenv("LEAT_ISA");
    enum isa best = ISA_PORTABLE;
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa))
            continue;
        if (wanted && strcmp(wanted, names[isa]) == 0)
            return isa;
        best = isa;
    }
    return best;
}

enum isa isa_get(void)
{
    int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (UNLIKELY(isa < 0)) {
        isa = (int)isa_choose();
        atomic_store_explicit(&chosen, isa, memory_order_relaxed);
    }
    return (enum isa)isa;
}

void isa_force(enum isa isa)
{
    CHECK(isa_available(isa));
    atomic_store_explicit(&chosen, (int)isa, memory_order_relaxed);
}

const char *isa_name(enum isa isa)
{
    CHECK(isa < ISA_COUNT);
    return names[isa];
}
