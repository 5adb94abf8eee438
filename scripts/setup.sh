#!/usr/bin/env bash
# Installs what the build needs and this machine lacks; says in a sentence what it cannot install.
#
#   scripts/setup.sh          everything that building and running take
#   scripts/setup.sh swift    only check the Swift toolchain, which is all that linting takes
set -euo pipefail

# The oldest toolchain whose package format Package.swift is written in.
swift_major=6 swift_minor=2
# The package's module map links this LLVM and no other.
llvm=22

fail() {
  printf 'setup: %s\n' "$1" >&2
  exit 2
}

check_swift() {
  command -v swift >/dev/null ||
    fail "PATH has no swift: install Swift $swift_major.$swift_minor or later (https://www.swift.org/install/linux)."
  local version major minor
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)
  IFS=. read -r major minor _ <<<"$version."
  ((${major:-0} > swift_major || (${major:-0} == swift_major && ${minor:-0} >= swift_minor))) ||
    fail "swift is version ${version:-unknown}: install Swift $swift_major.$swift_minor or later (https://www.swift.org/install/linux)."
}

# A header of that name stands where compilers look.
has_header() {
  local folder
  for folder in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
    [ ! -e "$folder/$1" ] || return 0
  done
  return 1
}

# The LLVM that Package.swift will find is the right one, with headers and library.
has_llvm() {
  local config=${LLVM_CONFIG:-llvm-config-$llvm} version
  command -v "$config" >/dev/null || {
    [ -z "${LLVM_CONFIG:-}" ] || fail "LLVM_CONFIG names '$config', which is no program: unset it, or name llvm-config-$llvm of the package llvm-$llvm-dev."
    return 1
  }
  version=$("$config" --version)
  [ "${version%%.*}" = "$llvm" ] ||
    fail "$config is of LLVM $version, and motc needs LLVM $llvm: install llvm-$llvm-dev, and unset LLVM_CONFIG or set it to llvm-config-$llvm."
  [ -e "$("$config" --includedir)/llvm-c/Core.h" ] && [ -e "$("$config" --libdir)/libLLVM-$llvm.so" ]
}

# Sets `missing` to the packages that must be installed, `wanted` to those that help.
find_missing() {
  missing=() wanted=()
  has_llvm || missing+=("llvm-$llvm-dev")
  has_header cblas.h || missing+=(libopenblas-dev)
  has_header png.h || missing+=(libpng-dev)
  has_header openssl/sha.h || missing+=(libssl-dev)
  # Specs are evaluated without it too, then with limits alone.
  command -v bwrap >/dev/null || wanted+=(bubblewrap)
  # Draws the pictures of `motc plot`, `motc match` and `motc bench --svg`, and nothing else.
  command -v gnuplot >/dev/null || wanted+=(gnuplot-nox)
  # Speaks the captions of `make experiment` and of some tests.
  command -v espeak-ng >/dev/null || wanted+=(espeak-ng)
}

# Runs a command with the rights to install.
privileged() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

install_packages() {
  local packages=("${missing[@]}" "${wanted[@]}")
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  printf 'setup: installing %s\n' "${packages[*]}"
  privileged apt-get update -q || true
  privileged apt-get install -y -q --no-install-recommends "${packages[@]}"
}

[ "$(uname -s)" = Linux ] || fail "motc is built and tested on Linux only, and this is $(uname -s)."
check_swift
[ "${1:-}" != swift ] || exit 0
find_missing
((${#missing[@]} + ${#wanted[@]})) || exit 0
install_packages || true
find_missing
((${#missing[@]} == 0)) ||
  fail "please install ${missing[*]} (Debian 12: sudo apt-get install ${missing[*]}); it could not be done from here."
for package in "${wanted[@]}"; do
  case "$package" in
  bubblewrap) loss='specs are evaluated with limits of time and memory but no sandbox' ;;
  gnuplot-nox) loss='motc plot, motc match and motc bench --svg draw nothing' ;;
  espeak-ng) loss='there is no make experiment, and tests of spoken words are skipped' ;;
  esac
  printf 'setup: without %s, %s.\n' "$package" "$loss" >&2
done
