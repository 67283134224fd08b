/* Exact conversion between numbers and text. Pure functions; any thread; no locale. */
#ifndef LEAT_CORE_NUMBER_H
#define LEAT_CORE_NUMBER_H

#include "core/base.h"

enum number_kind { NUMBER_INVALID, NUMBER_INT, NUMBER_DOUBLE, NUMBER_OUT_OF_RANGE };
/* Reads all of text[0..length), which must be one JSON number (RFC 8259 grammar, checked), as an
 * int64 if it has no fraction or exponent and fits, else as a correctly rounded double
 * (Eisel and Lemire's algorithm, arXiv:2101.11408, with an exact fallback). OUT_OF_RANGE: beyond
 * double. Does not read behind `length`. */
enum number_kind number_parse(const char *text, size_t length, int64_t *integer, double *real);
/* Correctly rounded double of a decimal text: [+-] digits [. digits] [e[+-]digits], ".5" and "1."
 * allowed too. False if the text is anything else. *overflow: beyond double. */
bool number_parse_double(const char *text, size_t length, double *real, bool *overflow);

#define NUMBER_TEXT_SIZE 40
/* Each writes at most NUMBER_TEXT_SIZE bytes without NUL and returns how many. */
size_t number_write_int(char *out, int64_t integer);
size_t number_write_uint(char *out, uint64_t natural);
/* The shortest text that reads back equal (Schubfach by Raffaello Giulietti, or equivalent), always
 * with a fraction or an exponent: 2.0, 0.1, 1e+22 (exponent below 1e-6 and from 1e21 on). Finite
 * only. */
size_t number_write_double(char *out, double real);
/* The shortest decimal digits (no dot) and exponent: real = 0.d1d2d3… * 10^exponent; returns the
 * count of digits (1..17). For formats of other shapes. Finite and positive only. */
size_t number_shortest_digits(double real, char digits[17], int *exponent);

#endif
