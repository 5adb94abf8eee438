#!/usr/bin/env bash
# Runs every command that README.md and docs/ show in blocks marked `sh`, and compares the model in
# README.md with the example that it names. Commands are as a reader would type them, in a copy of
# this folder's examples; QUICK=1 makes the long ones short.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
export PATH="$root/.build/release:$PATH" QUICK=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The commands of a page's blocks marked $2.
blocks() {
  awk -v mark="\`\`\`$2" '$0 == mark { inside = 1; next } /^```/ { inside = 0 } inside' "$1"
}

blocks README.md swift >"$work/model"
grep -v '^//' examples/chameleon.swift-spec | cmp -s - "$work/model" || {
  echo "docs: the model in README.md is not examples/chameleon.swift-spec" >&2
  exit 1
}

count=0
cp -r examples "$work/examples"
# Other pages go on from the run of docs/training.md.
pages=(README.md Tests/oracle/README.md Benchmarks/README.md examples/shapes/README.md docs/training.md)
for page in docs/*.md; do
  [ "$page" = docs/training.md ] || pages+=("$page")
done
for page in "${pages[@]}"; do
  [ -e "$page" ] || continue
  while IFS= read -r command; do
    # What CI runs by itself is not run again.
    case "$command" in '' | '#'* | 'make test' | 'make lint') continue ;; esac
    case "$command" in 'motc bench'*) command="$command --batch 1 --sequence 64 --repeat 1" ;; esac
    folder=$work
    case "$command" in make* | scripts/* | Tests/* | Benchmarks/* | swift*) folder=$root ;; esac
    printf 'docs: %s: %s\n' "$page" "$command"
    (cd "$folder" && bash -euo pipefail -c "$command") >"$work/output" 2>&1 || {
      cat "$work/output" >&2
      printf 'docs: this command of %s failed: %s\n' "$page" "$command" >&2
      exit 1
    }
    count=$((count + 1))
  done < <(blocks "$page" sh)
done
echo "docs: $count commands work"
