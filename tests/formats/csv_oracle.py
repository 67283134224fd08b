# Reads each case of a folder (case_0.csv, case_1.csv, …) with Python's csv module and prints its
# records as lines of JSON, with a line "#" after each case.
import csv
import io
import json
import os
import sys

folder = sys.argv[1]
csv.field_size_limit(1 << 30)
for number in range(len([name for name in os.listdir(folder) if name.startswith('case_')])):
    with open(os.path.join(folder, f'case_{number}.csv'), encoding='utf-8', newline='') as file:
        text = file.read()
    columns = None
    for row in csv.reader(io.StringIO(text, newline=''), strict=True):
        columns = columns or len(row)
        if not row and columns > 1:
            continue
        print(json.dumps(row or [''], ensure_ascii=False, separators=(',', ':')))
    print('#')
