#!/usr/bin/env bash
# From nothing to pictures that a model draws: makes a corpus, trains a Mixture-of-Transformers on it, and lets it
# draw captions and describe pictures that it has not seen.
#
#   make demo            some five minutes on two cores, once built
#   QUICK=1 make demo    the same way in some seconds, with too few steps to learn anything
set -euo pipefail
cd "$(dirname "$0")/.."

spec=examples/shapes.swift-spec
out=runs/demo
count=4000 steps=2400 every=200 scored=100
if [ -n "${QUICK:-}" ]; then count=100 steps=4 every=2 scored=3; fi

motc() { .build/release/motc "$@"; }
title() { printf '\n%s\n' "$1"; }

rm -rf "$out"
mkdir -p "$out"

title "1. $count pictures with true captions, drawn from a seed, as tokens"
python3 examples/shapes/draw.py "$out/pictures" --count "$count"
motc tokenize "$spec" --data "$out/pictures" -o "$out/shards"

title "2. The model, and what its routing costs before and after the passes"
cat "$spec"
motc inspect "$spec" | sed -n '/^Routing/,$p' | sed 's/^/  /'

title "3. Training, $steps steps"
motc train "$spec" --data "$out/shards" --out "$out/run" --precision bf16 --steps "$steps" \
  --log-every "$every" --validate-every "$((2 * every))"
if command -v gnuplot >/dev/null; then motc plot "$out/run" -o "$out/curves.png"; fi

title "4. What it makes of captions and pictures that it has not seen"
motc eval "$spec" --weights "$out/run/latest/weights.safetensors" --data "$out/shards" \
  --temperature 0.7 --generate "$scored" --out "$out/made" --checker examples/shapes/check.py

# Adds the first $1 pictures that the folder $2 has captions of to the gallery, and says $3 before each caption.
gallery=()
add() {
  local name caption
  while IFS=$'\t' read -r name caption; do gallery+=("$2/$name" "$3$caption"); done < <(head -n "$1" "$2/captions.txt")
}
add 3 "$out/made" ""
add 1 "$out/made/said" "says: "

printf '\nTry it yourself:\n  .build/release/motc generate %s --weights %s \\\n' \
  "$spec" "$out/run/latest/weights.safetensors"
printf '    --prompt "a red circle and two blue squares on white" --begin image -o circle.png\n'
if command -v gnuplot >/dev/null; then
  scripts/gallery.sh "$out/gallery.png" "${gallery[@]}"
  printf '\nCurves: %s. Three pictures from their captions, and a caption from a picture:\n%s\n' \
    "$out/curves.png" "$out/gallery.png"
else
  printf '\nWithout gnuplot there are no curves, and pictures stay apart:\n%s\n' "$out/made"
fi
