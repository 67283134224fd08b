/* Numbers for people: 336,776 records, 31.2 MB, 1:05 h. Pure functions; any thread. The text lives
 * in the result, to be used in the same expression: printf("%s", human_count(n).text). */
#ifndef LEAT_CLI_HUMAN_H
#define LEAT_CLI_HUMAN_H

#include "core/base.h"

struct human {
    char text[32];
};

/* 1,234,567 */
struct human human_count(uint64_t count);
/* 950 B, 31.2 MB, 4.56 GB: powers of ten, three figures. */
struct human human_bytes(double bytes);
/* 0.042 s, 3.21 s, 75.3 s; from two minutes on 2:05 min, from two hours on 2:05 h. */
struct human human_seconds(double seconds);
/* 0:04, 12:30, 1:02:05: whole seconds, rounded up. */
struct human human_clock(double seconds);
/* 91 %, and <1 % for what is there but rounds to nothing; "-" where the whole is 0. */
struct human human_share(double part, double whole);

#endif
