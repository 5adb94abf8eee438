#!/usr/bin/env bash
# Writes the manual page and the completions for bash, zsh and fish to where programs look for them
# below the folder $1, by the motc that is built.
set -euo pipefail
cd "$(dirname "$0")/.."

share=$1

# Moves stdin to the file $1 below the folder.
put() {
  install -D -m 644 /dev/stdin "$share/$1"
  [ -s "$share/$1" ] || {
    printf 'install: %s is empty\n' "$share/$1" >&2
    exit 2
  }
}

.build/release/motc --generate-completion-script bash | put bash-completion/completions/motc
.build/release/motc --generate-completion-script zsh | put zsh/site-functions/_motc
.build/release/motc --generate-completion-script fish | put fish/vendor_completions.d/motc.fish

# The day of the source, not of the build.
day=$(git log -1 --format=%cs 2>/dev/null || date +%F)
swift package generate-manual --date "$day" >/dev/null
put man/man1/motc.1 <.build/plugins/GenerateManual/outputs/motc/motc.1
