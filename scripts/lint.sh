#!/usr/bin/env bash
# Checks that cost no build: format, sizes of files, what is unfinished, scripts that do not parse.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() {
  printf 'lint: %s\n' "$1" >&2
  failed=1
}

swift format lint --strict --parallel --recursive Package.swift Sources Tests examples || failed=1

# Beyond this a file does more than one thing.
limit=400
while read -r lines file; do
  [ "$file" = total ] || ((lines <= limit)) || complain "$file has $lines lines, and at most $limit are allowed: split it"
done < <(find Sources Tests -name '*.swift' -exec wc -l {} +)

# The words are cut here so that this file does not find itself.
if unfinished=$(grep -rnE --include='*.swift' --include='*.md' --include='*.sh' --include='*.py' \
  '\b(TO''DO|FIX''ME|X''XX)\b' Package.swift Sources Tests Benchmarks scripts docs examples README.md .ci); then
  complain "unfinished work is not checked in:"$'\n'"$unfinished"
fi

while read -r script; do
  bash -n "$script" || complain "$script does not parse"
done < <(find scripts Tests Benchmarks .ci \( -name '*.sh' -o -path '.ci/*' \) -type f)

if command -v python3 >/dev/null; then
  while read -r script; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$script" ||
      complain "$script does not parse"
  done < <(find Tests Benchmarks examples -name '*.py' -type f)
fi

exit "$failed"
