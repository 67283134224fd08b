/* The table of formats: see formats.h. */
#include "formats/formats.h"

#define FORMAT(name) extern const struct format_ops format_##name;
#include "formats/formats.def"
#undef FORMAT

static const struct format_ops *const items[] = {
#define FORMAT(name) &format_##name,
#include "formats/formats.def"
#undef FORMAT
};

const struct format_table formats_all = {items, ARRAY_SIZE(items)};
