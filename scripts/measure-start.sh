#!/usr/bin/env bash
# Measures how long motc takes from the start of its process to a training step that could run, without
# parameters, and from the largest example to its object.
#
#   scripts/measure-start.sh          nine rounds
#   ROUNDS=3 scripts/measure-start.sh
#
# first: nothing is kept, as on a machine that never ran motc. cold: a model and code that nobody has seen;
# the compiled headers of the C library are kept. warm: the same model as before.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-9}
motc=$PWD/.build/release/motc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MOTC_CACHE=$work/cache

# Runs motc with the arguments given, and adds its milliseconds to the list $1.
measure() {
  local list=$1 start end
  shift
  start=$(date +%s%N)
  "$motc" "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; exit 1; }
  end=$(date +%s%N)
  printf '%d\n' $(((end - start) / 1000000)) >>"$work/$list"
}

# Removes what is kept, but not the compiled headers.
forget() { rm -f "$MOTC_CACHE"/*.motco; }

for _ in $(seq "$rounds"); do
  for spec in benchmark benchmark-small; do
    rm -rf "$MOTC_CACHE"
    measure "$spec.first" compile "examples/$spec.swift-spec" --emit ready
    forget
    measure "$spec.cold" compile "examples/$spec.swift-spec" --emit ready
    measure "$spec.warm" compile "examples/$spec.swift-spec" --emit ready
  done
  forget
  measure mot-7b.cold compile examples/mot-7b.swift-spec --emit obj -o "$work/object"
done

printf '%-28s %8s %8s\n' milliseconds least median
for list in benchmark.{first,cold,warm} benchmark-small.{first,cold,warm} mot-7b.cold; do
  sort -n "$work/$list" | awk -v name="${list/./, }" '
    { all[NR] = $1 } END { printf "%-28s %8d %8d\n", name, all[1], all[int((NR + 1) / 2)] }'
done
printf '\nThe stages of the last cold start:\n'
forget
"$motc" compile examples/benchmark.swift-spec --emit ready --time
