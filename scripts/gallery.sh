#!/usr/bin/env bash
# Puts pictures with a line of text above each side by side in one PNG, by gnuplot.
#
#   scripts/gallery.sh OUT.png PICTURE.png "text" [PICTURE.png "text" ...]
set -euo pipefail

output=$1
shift
count=$(($# / 2))

# Text for gnuplot between double quotes, in lines that fit. Models say anything: of it stays what neither ends the
# quotes nor, as a backquote would, runs a command.
text() {
  tr -cd ' -~' <<<"$1" | tr -d '\\"`' | fold -s -w 26 | sed 's/ *$//' | paste -s -d '|' | sed 's/|/\\n/g'
}

{
  printf 'set terminal pngcairo size %d, 300 noenhanced font ",12"\n' $((240 * count))
  printf 'set output "%s"\n' "$output"
  printf 'set multiplot layout 1, %d margins 0.01, 0.99, 0.02, 0.8 spacing 0.02, 0\n' "$count"
  printf 'unset border\nunset tics\nunset key\nunset colorbox\nset size ratio -1\nset autoscale fix\n'
  while [ $# -ge 2 ]; do
    printf 'set title "%s" offset 0, -0.5\n' "$(text "$2")"
    printf 'plot "%s" binary filetype=png with rgbimage\n' "$1"
    shift 2
  done
} | gnuplot
