/* Fixing the columns of a format that needs them (CSV, a table) where they are not known before the
 * run: the first record in input order gives them. Two stages that the plan adds behind the last
 * one: `first_record` is serial and looks at it; `columns` is parallel and makes a column
 * of cells for each, and rejects records that have a further field. */
#ifndef LEAT_PIPELINE_COLUMNS_H
#define LEAT_PIPELINE_COLUMNS_H

#include "core/stage.h"
#include "lang/scope.h"

#define COLUMNS_MOST 2048

/* Opens both. `open_shape` is the record's at that point; *fixed becomes the shape to write,
 * closed, its fields set before any batch leaves `columns`. */
bool columns_open(struct scope *scope, const struct shape *open_shape, struct stage **columns,
                  struct stage **fill, struct shape **fixed);

#endif
