/* Names of outcomes: see exchange.h. */
#include "clients/exchange.h"

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_ANSWER] = "answer",   [OUTCOME_CONNECT] = "connect",
        [OUTCOME_TIMEOUT] = "timeout", [OUTCOME_BROKEN] = "broken",
        [OUTCOME_LARGE] = "large",     [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_INVALID] = "invalid", [OUTCOME_OPEN] = "open",
    };
    CHECK(outcome < OUTCOME_COUNT);
    return names[outcome];
}
