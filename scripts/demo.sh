#!/usr/bin/env bash
# Takes a model through every stage of motc to a training run, and measures what the passes are worth.
#
#   make demo            two to three minutes on two cores, once built
#   QUICK=1 make demo    the same way in some seconds, with too few steps to learn anything
set -euo pipefail
cd "$(dirname "$0")/.."

spec=examples/chameleon.swift-spec
data=examples/data
picture=circle.png
out=runs/demo
steps=200 log_every=20 bench=(examples/benchmark.swift-spec --repeat 3)
if [ -n "${QUICK:-}" ]; then
  steps=4 log_every=1 bench=("$spec" --batch 1 --repeat 1)
fi

motc() { .build/release/motc "$@"; }
title() { printf '\n%s\n' "$1"; }
row() { printf '  %-34s %9s   %s\n' "$1" "$2" "$3"; }

# Writes the stage $1 (of the function $2) to $3, and leaves what motc says of it in `said`.
stage() {
  said=$(motc compile "$spec" --emit "$1" --function "$2" -o "$out/$3" 2>&1)
}

# Prints the number that stands before `$1` in `said`.
number() {
  local found
  found=$(sed -n "s/.*[ ]\([0-9,]*\) $1.*/\1/p" <<<"$said")
  [ -n "$found" ] || { printf 'demo: motc did not say how many %s:\n%s\n' "$1" "$said" >&2; exit 1; }
  printf '%s' "$found"
}

rm -rf "$out"
mkdir -p "$out"
# Pictures as 16 x 16 pixels of 64 colours, which is as many ids as the model has for them.
pixels=(--pictures palette --side 16 --patch 1 --validation 0)
title "1. $spec, stage by stage"
stage graph loss graph.motir
row "nodes of the graph, forward" "$(number 'graph nodes')" "$out/graph.motir"
stage grad gradients gradients.motir
row "nodes with gradients" "$(number 'graph nodes')" "$out/gradients.motir"
stage opt gradients optimised.motir
row "nodes after the passes" "$(number 'after the passes')" "$out/optimised.motir"
stage ll gradients chameleon.ll
row "kernels that are different" "$(number 'kernels')" "in $(number 'kernel calls') calls a step"
row "lines of LLVM IR" "$(number 'lines of LLVM IR')" "$out/chameleon.ll"
motc inspect "$spec" | sed -n '/^Routing/,$p' | sed 's/^/  /'

title "2. Forward and backward on one picture and its caption"
caption=$(sed -n "s/^$picture\t//p" "$data/captions.txt")
mkdir -p "$out/one"
cp "$data/$picture" "$out/one/"
printf '%s\t%s\n' "$picture" "$caption" >"$out/one/captions.txt"
# The document: the caption's bytes and its newline, the picture's 16 x 16 tokens, begin and end.
length=$((${#caption} + 1 + 16 * 16 + 2))
printf '  %s, "%s": %d tokens\n' "$data/$picture" "$caption" "$length"
one=(--batch 1 --sequence "$length")
motc init "$spec" --seed 1 -o "$out/first.safetensors"
motc tokenize "$spec" --data "$out/one" "${pixels[@]}" --order text-first -o "$out/one-shards"
motc batch "$spec" "${one[@]}" --data "$out/one-shards" -o "$out/one.safetensors"
motc run "$spec" --weights "$out/first.safetensors" --input "$out/one.safetensors" --grad \
  -o "$out/one-gradients.safetensors"

title "3. Training on all pictures and captions, $steps steps"
motc tokenize "$spec" --data "$data" "${pixels[@]}" -o "$out/shards"
motc train "$spec" --data "$out/shards" --out "$out/run" --steps "$steps" --log-every "$log_every" \
  --seed 1 2>&1 | tee "$out/training.log"
if [ -z "${QUICK:-}" ]; then
  # The losses by modality of the first and the last line.
  awk '/^step/ { for (i = 1; i < NF; i++) if ($i == "text" || $i == "image") {
                   if (!($i in first)) first[$i] = $(i + 1); last[$i] = $(i + 1) } }
       END { for (name in first) if (last[name] > first[name] / 2) {
               print "demo: the loss on " name " did not fall to half" > "/dev/stderr"; exit 1 } }' \
    "$out/training.log"
fi

title "4. What the passes and motc's own kernels are worth: fused against unfused"
echo "  Measuring; this takes a minute or two."
motc bench "${bench[@]}" --compare fused,unfused
