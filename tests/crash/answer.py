# A child for `lookup exec`: answers each line, a number, by three times that.
import sys

for text in sys.stdin:
    print(int(text) * 3, flush=True)
