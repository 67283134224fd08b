# A child of lookup exec: answers each line of stdin by a line on stdout. Run by the golden case.
import json
import sys

for line in sys.stdin:
    print(json.dumps({str(key): key * key for key in reversed(json.loads(line))}), flush=True)
