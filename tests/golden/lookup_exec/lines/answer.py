# A child of lookup exec: answers each line of stdin by a line on stdout. Run by the golden case.
import json
import sys

for line in sys.stdin:
    ask = json.loads(line)
    print(json.dumps({"upper": ask["name"].upper(), "from": ask["id"]}), flush=True)
